"""What the samples of a file lack, in the words and codes of the contract."""

import json
from collections.abc import Callable, Mapping

from whisperfleet.audio.decoder_child import ChildEndedError
from whisperfleet.audio.decoder_protocol import Finding
from whisperfleet.contract.job import channel_name
from whisperfleet.contract.warnings import ResultWarning, WarningCode

__all__ = ["read_warning"]

Detail = Mapping[str, object]

_SEND_WHOLE = "if it was cut off on its way, send it whole"


def read_warning(payload: bytes | bytearray) -> ResultWarning:
    """Return what a `W` frame says; raises ChildEndedError if it says nothing known."""
    try:
        content = json.loads(payload)
        finding = Finding(content["finding"])
        message = _SENTENCES[finding](content["detail"])
        return ResultWarning(code=WarningCode(finding), message=message)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ChildEndedError from None


def _cut_short(detail: Detail) -> str:
    at = _seconds(detail, "at")
    match detail["reason"]:
        case "links":
            lost = _counted(detail, "count", "part", "parts")
            return (
                f"{lost} of the chained Ogg file could not be decoded, the first after {at}; "
                "convert it to WAV and send it again"
            )
        case "length":
            missing = _seconds(detail, "seconds")
            return (
                f"the audio ends at {at}, {missing} before the end that the file states; "
                f"{_SEND_WHOLE}"
            )
        case _:
            return f"the file could not be read to its end, only up to {at}; {_SEND_WHOLE}"


def _packets_dropped(detail: Detail) -> str:
    packets = _counted(detail, "packets", "damaged packet was", "damaged packets were")
    return f"{packets} left out, so words may be missing; send the file undamaged"


def _gap_in_time(detail: Detail) -> str:
    gap, at = _seconds(detail, "seconds"), _seconds(detail, "at")
    return (
        f"by its own clock the file has no sound for {gap}{_places(detail)} from {at} on, where "
        "silence was put; if there was speech, send a recording without gaps"
    )


def _clock_break(detail: Detail) -> str:
    return (
        f"the file's clock jumps as no recording does{_places(detail)} at "
        f"{_seconds(detail, 'at')}, so later times may differ from a player's; if they matter, "
        "convert it to WAV and send it again"
    )


def _track_left_out(detail: Detail) -> str:
    languages = detail["languages"]
    if not isinstance(languages, list):
        raise TypeError
    tags = [tag for tag in map(str, languages) if tag.isascii() and tag.isalnum()]
    named = f" ({', '.join(tags)})" if len(tags) == len(languages) and {*tags} != {"und"} else ""
    return (
        f"the file has {_number(detail, 'tracks')} audio tracks{named} and number "
        f"{_number(detail, 'track')} was taken, as a player does; for another, send `track`"
    )


def _track_silent(detail: Detail) -> str:
    taken, sounding = _number(detail, "track"), _number(detail, "sounding")
    return (
        f"audio track {taken}, which was taken, is silent throughout and track {sounding} is not; "
        f"send the job with `track` {sounding}"
    )


def _channel_missing(detail: Detail) -> str:
    count = _counted(detail, "channels", "channel", "channels")
    asked = channel_name(_number(detail, "channel"))
    return (
        f"the channel {asked} was asked for and the audio has {count}, so all of it was taken; "
        "send `channel` with one that is there, or leave it out"
    )


def _channels_cancel(detail: Detail) -> str:
    seconds, at = _seconds(detail, "seconds"), _seconds(detail, "at")
    return (
        f"the left and the right channel cancel each other when they are mixed, for {seconds} from "
        f"{at} on, so one was turned round there; to have one alone, send `channel` left or right"
    )


_SENTENCES: dict[Finding, Callable[[Detail], str]] = {
    Finding.CUT_SHORT: _cut_short,
    Finding.PACKETS_DROPPED: _packets_dropped,
    Finding.GAP_IN_TIME: _gap_in_time,
    Finding.CLOCK_BREAK: _clock_break,
    Finding.TRACK_LEFT_OUT: _track_left_out,
    Finding.TRACK_SILENT: _track_silent,
    Finding.CHANNEL_MISSING: _channel_missing,
    Finding.CHANNELS_CANCEL: _channels_cancel,
}


def _places(detail: Detail) -> str:
    count = _number(detail, "count")
    return f" in {count} places, the first" if count > 1 else ""


def _counted(detail: Detail, name: str, one: str, more: str) -> str:
    number = _number(detail, name)
    return f"{number} {one if number == 1 else more}"


def _number(detail: Detail, name: str) -> int:
    return int(str(detail[name]))


def _seconds(detail: Detail, name: str) -> str:
    return f"{float(str(detail[name])):.1f} s"
