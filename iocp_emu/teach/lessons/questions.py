"""Forty questions that people who learn completion ports have really asked, in our words, and where they were asked.

Theory.  Each lesson answers some of them (`Lesson.answers`, by number); a test sees to it that none is left out.  The
sources are public threads and pages; a question may stand for many of its kind.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LearnerQuestion:
    """A question, and where it was asked."""

    text: str
    source: str


QUESTIONS = {
    1: LearnerQuestion(
        "What does concurrently mean here: do several threads work on one packet? What becomes of threads beyond the "
        "allowed number that call GetQueuedCompletionStatus, and how long do they wait?",
        "stackoverflow 7016011",
    ),
    2: LearnerQuestion("Does a completion port start threads of its own?", "stackoverflow 28648802"),
    3: LearnerQuestion("Whose is the thread pool that one reads about: mine, or the system's?", "cplusplus.com 270910"),
    4: LearnerQuestion("Should I pass 1 or 0? And when is a thread associated?", "tokio-rs/mio#1161"),
    5: LearnerQuestion(
        "Does an associated thread hold up another one although it is not asking for packets? Does a large value cost "
        "memory?",
        "tokio-rs/mio#1025",
    ),
    6: LearnerQuestion(
        "Why do some libraries pass 1 and others ~0? Does one thread hold up the others with 1?", "tokio-rs/mio#337"
    ),
    7: LearnerQuestion("The default 0 means the processors: logical or physical ones?", "oldnewthing 2018-11-23"),
    8: LearnerQuestion(
        "How many worker threads should I start: as many as processors, twice, four times?",
        "tjanczuk/iisnode#99; CodeProject; cxMessage documentation",
    ),
    9: LearnerQuestion(
        "Only N of my threads are allowed to run? That sounds alarming, even more so with Python's lock.", "bpo-16175"
    ),
    10: LearnerQuestion("Does a value of ~0 take the limit away, and what do I lose then?", "dotnet/runtime#64834"),
    11: LearnerQuestion(
        "Is a completion port a thread that runs while the I/O takes place, or after it? Is that not polling?",
        "includestdio.com 508",
    ),
    12: LearnerQuestion(
        "How does the port know that my thread blocks, in a database call, in Sleep, on a lock? And when it wakes, "
        "can more than N run?",
        "stackoverflow 7016011; tokio-rs/mio#1161",
    ),
    13: LearnerQuestion(
        "What if a thread of my pool calls GetQueuedCompletionStatus on another port?", "ohmsblog 2009-12"
    ),
    14: LearnerQuestion("Completion port or QueueUserAPC: can I address one thread?", "qanswer.space"),
    15: LearnerQuestion(
        "When the thread that issued a request ends, is its I/O cancelled?",
        "sunchangming blog 2016; MicrosoftDocs/sdk-api#1137",
    ),
    16: LearnerQuestion(
        "Completions go to the latest waiter, not to the thread that submitted: does that break one loop per thread?",
        "mitchellh/libxev#81",
    ),
    17: LearnerQuestion(
        "I post one packet per worker to tell all of them something; why does one worker get several?",
        "csdn 92753620",
    ),
    18: LearnerQuestion(
        "The documentation says first in, first out, and that packets may be dequeued in another order: how?",
        "Microsoft Learn, I/O Completion Ports",
    ),
    19: LearnerQuestion("Why are waiters released last in, first out?", "dotnet/corert#6880"),
    20: LearnerQuestion(
        "One port for all, or one per core? And should a thread take many packets at once?",
        "dotnet/coreclr#20583; tjanczuk/iisnode#119",
    ),
    21: LearnerQuestion(
        "How do I free a thread from GetQueuedCompletionStatus when the program ends?", "stackoverflow 38560127"
    ),
    22: LearnerQuestion(
        "After CloseHandle on the port, is it ERROR_ABANDONED_WAIT_0 or ERROR_INVALID_HANDLE?", "csdn 92753620"
    ),
    23: LearnerQuestion("Is it safe to wake all waiters with posted packets at the end?", "Vatyx/NamedPipeCapture#5"),
    24: LearnerQuestion(
        "CreateIoCompletionPort in a loop gives another handle each time: do I leak them?", "microsoft/diskspd#78"
    ),
    25: LearnerQuestion(
        "I have closed the socket; why does the port still report its operations, into memory that I have freed?",
        "pjsip/pjproject#985; tinymux#1832",
    ),
    26: LearnerQuestion(
        "How do I abort connections without a lock around their handles?", "comp.programming.threads 2011-07"
    ),
    27: LearnerQuestion(
        "A socket is associated, and I close the handle of the port: is the port gone?", "cppalliance/corosio#173"
    ),
    28: LearnerQuestion("How long can the queue grow, and what happens beyond?", "stackoverflow 2019504"),
    29: LearnerQuestion(
        "When the call succeeds at once, is a packet queued as well?",
        "MicrosoftDocs/sdk-api#458; basil00/WinDivert#144",
    ),
    30: LearnerQuestion(
        "It is queued, and I had freed the OVERLAPPED already: what went wrong?", "microcai/iocp#5; YY-Thunks#130"
    ),
    31: LearnerQuestion("The call failed at once: who frees the OVERLAPPED?", "somdoron/AsyncIO#33"),
    32: LearnerQuestion(
        "GetQueuedCompletionStatus returned FALSE, but with an OVERLAPPED: what is that?",
        "miow#25; microsoft/Detours#264; c-ares#1247",
    ),
    33: LearnerQuestion("GetOverlappedResult says 996: was it a success?", "somdoron/AsyncIO#16"),
    34: LearnerQuestion("What does a closed connection look like?", "9cbs 49958"),
    35: LearnerQuestion("May the output parameters of an overlapped call stand on the stack?", "lalinsky/zio#558"),
    36: LearnerQuestion(
        "Requests that complete at once cost me a context switch: can that be avoided?", "tjanczuk/iisnode#110"
    ),
    37: LearnerQuestion(
        "Do the three parameters of PostQueuedCompletionStatus mean anything? How do I tell my packets from those of "
        "I/O?",
        "oldnewthing 2007-05-25",
    ),
    38: LearnerQuestion("Which key do I pass when I create a port?", "tringi/win32-iocp-events#1"),
    39: LearnerQuestion(
        "Can one handle belong to two ports? Can I find out whether it belongs to one?", "microsoft/WSL#40569"
    ),
    40: LearnerQuestion("Can a closed socket be associated?", "grpc/grpc#37864"),
}
"""By number, as the lessons' `answers` name them."""
