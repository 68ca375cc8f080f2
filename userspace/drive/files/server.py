# SPDX-License-Identifier: GPL-2.0 OR MIT
"""HTTP with asyncio: /document is a file, and /echo/... is answered by itself."""
import asyncio
import sys

with open("www/document", "rb") as file:
    DOCUMENT = file.read()


async def serve(reader, writer):
    keep = True
    while keep:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            break
        path = head.split(b" ", 2)[1]
        keep = b"connection: close" not in head.lower()
        body = DOCUMENT if path == b"/document" else path + b"\n"
        end = b"" if keep else b"Connection: close\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), end, body))
        await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=512)
    await server.serve_forever()


asyncio.run(main())
