// SPDX-License-Identifier: GPL-2.0 OR MIT
// HTTP with Node: /document is a file, and /echo/... is answered by itself.
const fs = require("fs");
const http = require("http");

const file = fs.readFileSync("www/document");

const server = http.createServer((request, response) => {
	const body = request.url === "/document" ? file : Buffer.from(request.url + "\n");

	response.writeHead(200, { "Content-Length": body.length });
	response.end(body);
});
server.keepAliveTimeout = 0;
server.listen(Number(process.argv[2]), "127.0.0.1", 512);
