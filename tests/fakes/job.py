"""One answer of the fake engine on its way out, event by event."""

import asyncio
import gzip

from tests.fakes import answers
from tests.fakes.answers import framed

HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: fake\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n%s\r\n"
)
GARBAGE = b"\xff\xfe\x00 this is no event {{{\n\n"


class Job:
    """A request in the batch; `step` says one token and tells whether that was all."""

    def __init__(self, connection, ask, fault):
        self.connection = connection
        self.ask = ask
        self.fault = fault
        self.stepwise = fault.stepwise
        self.spoken = 0  # tokens
        self.sent = 0  # events
        self.stuck = False
        self.events = answers.Events(ask) if ask.stream else None

    def finish(self):
        """All of it at once."""
        if self.events is None:
            self._whole()
            return
        more = b""
        if self.fault.gzip:
            events, more = framed(gzip.compress(b"".join(self.events.all()))), b"content-encoding: gzip\r\n"
        else:
            events = answers.streamed(self.ask, crlf=self.fault.crlf)
        self._write(HEAD % more + events + b"0\r\n\r\n")
        self._done()

    def step(self):
        self.spoken += 1
        last = self.spoken >= self.ask.tokens
        if self.events is None:
            return self._quiet(last)
        if self.spoken == 1:
            self._write(HEAD % b"")
            self._say(self.events.first())
        if self.fault.slow:
            self._rest()
            return False
        self._say(self.events.token(self.spoken - 1))
        if last and not self.stuck:
            self._say(self.events.last())
            self._end()
        return last

    def _quiet(self, last):
        """A step of an answer that is not streamed: faults count its tokens."""
        if self.spoken in {self.fault.die, self.fault.hang}:
            self.stuck = True
            if self.spoken == self.fault.die:
                self._part()
                self.connection.reset()
        elif last:
            self._whole()
        return last or self.spoken == self.fault.die

    def _part(self):
        """The beginning of an answer that will not end."""
        body = answers.whole(self.ask)
        self._write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body[: len(body) // 2]))

    def _whole(self):
        self.connection.reply(200, answers.whole(self.ask), pack=self.fault.gzip, split=self.fault.split)

    def _say(self, events):
        """Events, one by one, until a fault strikes."""
        for event in events:
            if self.stuck:
                return
            if self.sent == self.fault.die:
                self.stuck = True
                self.connection.reset()
                self._leave()
            elif self.sent == self.fault.hang:
                self.stuck = True
            elif self.sent == self.fault.garbage:
                self._write(framed(GARBAGE))
                self._end()
                self._leave()
            elif self.sent == self.fault.error:
                message = answers.error("as asked", "InternalServerError", 500)
                self._write(framed(b"data: " + message + b"\n\n") + framed(answers.DONE))
                self._end()
                self._leave()
            else:
                self._write(framed(self._ended(event)))
                self.sent += 1

    def _leave(self):
        """Its place is free."""
        self.stuck = True
        self.connection.engine.running.pop(id(self), None)

    def _rest(self):
        """A slow answer: one event now and then."""
        self.stuck = True
        events = [e for i in range(self.ask.tokens) for e in self.events.token(i)] + self.events.last()
        loop = asyncio.get_running_loop()

        def next_event():
            if self.connection.job is not self:
                return
            if events:
                self._write(framed(events.pop(0)))
                loop.call_later(self.fault.slow, next_event)
            else:
                self._leave()
                self._end()

        next_event()

    def _ended(self, event):
        return event[:-2] + b"\r\n\r\n" if self.fault.crlf else event

    def _write(self, data):
        self.connection.write(data, self.fault.split)

    def _end(self):
        self._write(b"0\r\n\r\n")
        self._done()

    def _done(self):
        self.connection.done(vanish=self.fault.vanish)
