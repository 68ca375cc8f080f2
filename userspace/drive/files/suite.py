# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Runs tests of CPython by name, and writes a line for each: what it is called, and how it ended."""
import os
import sys
import unittest

from test import support
from test.support import os_helper

# Nothing but the machine itself: no network, no display.
support.use_resources = []


def say(*words):
    sys.__stdout__.write(" ".join(words) + "\n")
    sys.__stdout__.flush()


class Lines(unittest.TestResult):
    """Each test ends once; what failed in a part of it has failed."""

    def startTest(self, test):
        super().startTest(test)
        self.outcome = "ok"

    def stopTest(self, test):
        super().stopTest(test)
        say("TEST", test.id(), self.outcome)

    def tell(self, test, error):
        for line in self._exc_info_to_string(error, test).splitlines():
            say("LOG", line)

    def fails(self, test, error, outcome):
        self.outcome = outcome
        self.tell(test, error)

    def addFailure(self, test, error):
        self.fails(test, error, "fail")

    def addError(self, test, error):
        if isinstance(test, unittest.TestCase):
            self.fails(test, error, "error")
        else:
            # A class or module could not be set up.
            self.tell(test, error)
            say("TEST", test.id().replace(" ", "_"), "error")

    def addSubTest(self, test, part, error):
        if error is not None:
            self.fails(test, error, "fail")

    def addSkip(self, test, reason):
        if isinstance(test, unittest.TestCase):
            self.outcome = "skip"

    def addUnexpectedSuccess(self, test):
        self.outcome = "fail"


with os_helper.temp_cwd():
    sys.stdout = sys.stderr
    unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:]).run(Lines())
say("DONE")
os._exit(0)
