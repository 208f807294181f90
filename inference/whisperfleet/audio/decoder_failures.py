"""What a decoder process could not do, in the words and codes of the contract."""

import signal

from whisperfleet.audio.decoder_child import describe_exit
from whisperfleet.audio.decoder_protocol import DecodeLimits, Problem
from whisperfleet.audio.decoder_sniff import Content
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError, JobError, MachineError, TransientError

__all__ = ["ended", "not_started", "refused", "stalled", "unreadable"]

_CONVERT = "convert it to WAV, FLAC, MP3, Ogg Opus or M4A and send it again"

_DECODE = "decode it and send the raw bytes"
_BYTES = "send the raw bytes, and do not pass them through a string on the way"
_LINK = "give a link to the recording itself, which needs no login and no page around it"
_CONTENTS = {
    Content.BASE64: ("base64 text", _DECODE),
    Content.DATA_URL: ("a data: URL", "decode what comes after its comma and send the raw bytes"),
    Content.HEX: ("hexadecimal text", _DECODE),
    Content.MANGLED: (
        "bytes that a program took for UTF-8 text on the way, which has destroyed them",
        f"{_BYTES} (a Redis client has an option for binary values)",
    ),
    Content.LATIN_1: ("bytes that a program took for letters and wrote as UTF-8", _BYTES),
    Content.LITERAL: ("the source text of a bytes literal", _BYTES),
    Content.HTML: ("a web page (HTML)", _LINK),
    Content.XML: ("XML, such as a storage service's refusal", f"read it, and {_LINK}"),
    Content.JSON: ("JSON, such as a server's answer", f"read it, and {_LINK}"),
    Content.PLAYLIST: ("a playlist", "send the recordings that it names, each as a job"),
    Content.ADDRESS: ("an address as text", "send it in `url`, or the bytes that are there"),
    Content.TEXT: ("plain text", "check what was sent, and send the recording"),
    Content.BLANK: ("nothing but white space", "check what was sent, and send the recording"),
    Content.PDF: ("a PDF document", "send the recording"),
    Content.ZIP: ("a ZIP archive", "unpack it and send the recordings in it, each as a job"),
    Content.GZIP: ("gzip-compressed data", "decompress it and send the recording itself"),
    Content.IMAGE: ("a picture", "send the recording"),
    Content.MIDI: ("a MIDI file, notes without sound", "send a recording"),
}


def refused(problem: Problem, detail: str, limits: DecodeLimits) -> InputError:
    """Return what to tell the producer of a file that cannot be decoded."""
    match problem:
        case Problem.UNKNOWN_CONTAINER:
            code, text = Code.NOT_AUDIO, _instead_of_audio(detail)
        case Problem.NO_AUDIO_STREAM | Problem.NO_SUCH_TRACK:
            return _no_track(problem, detail)
        case Problem.UNKNOWN_CODEC:
            code, text = Code.NOT_AUDIO, f"its audio codec {detail} is not known here; {_CONVERT}"
        case Problem.SAMPLE_RATE:
            code, text = Code.NOT_AUDIO, f"a sample rate of {detail} Hz is no recording; {_CONVERT}"
        case Problem.DAMAGED:
            code, text = Code.NOT_AUDIO, "the audio is damaged beyond decoding; send the file again"
        case Problem.EMPTY:
            code, text = (
                Code.EMPTY,
                "the file holds no samples; check the recording and send it again",
            )
        case Problem.TOO_LONG:
            code = Code.TOO_LONG
            text = (
                f"the audio is longer than the {limits.max_seconds:g} s that are allowed; cut it "
                "into parts, or raise the worker's limit"
            )
        case Problem.TOO_MANY_CHANNELS:
            code = Code.TOO_MANY_CHANNELS
            text = (
                f"the audio has {detail} channels and {limits.max_channels} are allowed; mix it "
                "down to one and send it again"
            )
        case Problem.OUT_OF_MEMORY:
            code = Code.TOO_LARGE
            text = f"decoding takes more than the {_memory(limits)} that are allowed; {_CONVERT}"
    return InputError(code, text)


def unreadable(detail: str) -> MachineError:
    """Return the error of a worker whose disk does not give a file back."""
    return MachineError(
        f"a file in the scratch folder cannot be read ({detail}); check the disk under it"
    )


def _instead_of_audio(content: str) -> str:
    try:
        what, remedy = _CONTENTS[Content(content)]
    except ValueError:
        return f"this is no complete audio file of a kind that is known here; {_CONVERT}"
    return f"this is {what}, not audio; {remedy}"


def _no_track(problem: Problem, detail: str) -> InputError:
    if problem is Problem.NO_AUDIO_STREAM:
        return InputError(
            Code.NOT_AUDIO, f"this {detail} file has no audio track; send one with sound"
        )
    return InputError(
        Code.INVALID_JOB,
        f"the track that was asked for is not there, as the file's audio tracks number {detail}; "
        f"send `track` from 1 to {detail}, or leave it out",
    )


def stalled(limits: DecodeLimits) -> TransientError:
    """Return the error of a process that gave no sample in time."""
    return TransientError(
        Code.DECODER_TIMEOUT,
        f"the decoder gave nothing for {limits.stall_seconds:g} s; give the worker more processor "
        f"time or, if it happens again, {_CONVERT}",
    )


def ended(exit_code: int | None, limits: DecodeLimits) -> JobError:
    """Return the error of a process that ended in the middle of a file."""
    if exit_code == -signal.SIGXCPU:
        # Processor time is a property of the file, not of a busy machine: no use in trying again.
        return InputError(
            Code.DECODER_TIMEOUT,
            f"decoding takes more than {limits.cpu_seconds} s of processor time; {_CONVERT}",
        )
    return TransientError(
        Code.DECODER_CRASHED,
        f"the decoder ended with {describe_exit(exit_code)}; if it happens again, {_CONVERT}, and "
        "after SIGKILL give the worker more memory",
    )


def not_started(reason: str) -> MachineError:
    """Return the error of a worker that cannot start a process: no file has come to it yet."""
    return MachineError(
        f"a decoder could not be started ({reason}); read the worker's standard error, and give it "
        "more memory or processes"
    )


def _memory(limits: DecodeLimits) -> str:
    return f"{limits.memory_bytes // 1024**2} MiB of memory"
