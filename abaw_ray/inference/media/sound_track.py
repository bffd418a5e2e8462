"""The sound of an annotated video: that of its source."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw_ray.inference.media.encoding import Encoding

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer

logger = logging.getLogger(__name__)

BEFORE = 0.1
"""Seconds of copied sound before the first picture that are kept: what a decoder needs to begin."""


def written_sound(source: Path, out: OutputContainer, encoding: Encoding, start: float) -> Generator[float, None, None]:
    """Writes the first sound track of a video part by part: copied where the new file takes it as it is, else encoded.

    A part that cannot be read ends the sound, and is logged.

    Args:
        source: the video.
        out: the file that is being written. It gets its track when the first part is asked for.
        encoding: of it.
        start: seconds of the source's clock that are 0 in the new file.

    Yields:
        Seconds up to which there is sound, first minus infinity. Nothing if the source has no sound.
    """
    import av

    with av.open(str(source), metadata_errors="replace") as container:
        sound = next((stream for stream in container.streams.audio if stream.codec_context is not None), None)
        if sound is None:
            return
        is_taken = sound.codec_context.name in encoding.copied
        # AAC without a header lies in packets that an MP4 file does not take
        is_copied = is_taken and (sound.codec_context.name != "aac" or bool(sound.codec_context.extradata))
        heard, parts = -math.inf, (_copied if is_copied else _encoded)(container, sound, out, encoding, start)
        try:
            for heard in parts:
                yield heard
        except av.FFmpegError as error:
            logger.warning("%s: its sound from %.1f s on cannot be read (%s)", source, heard + start, error.strerror)


def _copied(
    container: InputContainer, sound: AudioStream, out: OutputContainer, _: Encoding, start: float
) -> Iterator[float]:
    track = out.add_stream_from_template(sound)
    yield -math.inf
    for packet in container.demux(sound):
        if packet.dts is None or packet.pts is None or packet.time_base is None:
            continue
        offset = round(start / packet.time_base)
        packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
        begin, end = packet.pts * packet.time_base, (packet.pts + (packet.duration or 0)) * packet.time_base
        if start == 0 or end > -BEFORE:
            packet.stream = track
            out.mux(packet)
            yield float(begin)


def _encoded(
    container: InputContainer, sound: AudioStream, out: OutputContainer, encoding: Encoding, start: float
) -> Iterator[float]:
    rate = 48_000 if encoding.sound == "libopus" else min(sound.codec_context.sample_rate, 48_000)
    track: Any = out.add_stream(encoding.sound, rate=rate)
    track.codec_context.layout = "mono" if sound.codec_context.channels == 1 else "stereo"
    yield -math.inf
    for frame in container.decode(sound):
        if frame.pts is None or frame.time_base is None or frame.time is None:
            continue
        frame.pts -= round(start / frame.time_base)
        if frame.pts >= 0:
            out.mux(track.encode(frame))
            yield float(frame.pts * frame.time_base)
    out.mux(track.encode(None))
