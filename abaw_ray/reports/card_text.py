"""Parts of a model card that follow from what a model takes and gives."""

from __future__ import annotations

import re
from collections.abc import Callable

from abaw_ray.inference.model_info import DEVIATION, ModelInfo
from abaw_ray.preprocess.crops import CROPS
from abaw_ray.spaces import LabelSpace

USE = """\
Meant for research and for describing pictures and videos as a whole: how expressions change over a film, how a
database is made up, what a system should look at again. Somebody who knows the material checks what comes out.

**It says what a face shows, and not what a person feels.** People smile without joy and are sad without a sign of it;
faces move differently by person, culture, illness and age, and the labels are what annotators saw.

Not meant for, and not to be used for:

- decisions about people: hiring, school, insurance, credit, policing, borders, health, or what somebody is shown or
  charged;
- finding out whether somebody lies, is dangerous, ill, attentive or willing;
- watching people who do not know it, or who cannot say no."""

LAW = """\
No legal advice. In the European Union, Regulation (EU) 2024/1689 (AI Act) applies to emotion recognition by name:

- **Article 5(1)(f) prohibits** placing on the market, putting into service for this purpose, or using AI systems to
  infer emotions of a person in the areas of **workplace and education institutions**, except where they are intended
  for medical or safety reasons. It has applied since 2 February 2025.
- Annex III, point 1(c) lists other AI systems that are intended for emotion recognition, as far as their use is
  permitted at all, among the high-risk ones.
- Article 50(3) obliges who uses such a system to inform the people who are exposed to it, and to process their data by
  the rules of data protection; what law permits for detecting, preventing or investigating crime is excepted.

Pictures of faces are personal data; other countries have rules of their own."""


MARKUP = re.compile(r"[\\`*\[\]<>|&!#~]")


def literal(text: str) -> str:
    """Text that comes from data, on one line of Markdown: none of it is markup, a link or HTML."""
    return MARKUP.sub(lambda found: f"\\{found[0]}", " ".join(text.split()))


def inputs(info: ModelInfo) -> str:
    """What the model takes."""
    size = info.image_size
    which = (
        f"faces of one person in consecutive frames, in their order, 1 to {info.window}"
        if info.window
        else "any number of faces, each by itself"
    )
    crop = CROPS.get(info.crop)
    cut = f" ({_first_line(crop.find)})" if crop is not None else ""
    return (
        f"Input `faces`: uint8, n x {size} x {size} x 3, RGB from 0 to 255; {which}. Faces are cut out as the crop"
        f" `{info.crop}`{cut}, the largest square in the middle of it, resized to {size} x {size} pixels. Their view"
        " (zoom, or a crop of the middle) and normalisation are inside."
    )


def outputs(info: ModelInfo) -> str:
    """What the model gives, a line each."""
    lines = ["Outputs, float32, a row for each face:", ""]
    for space in info.spaces:
        lines.append(f"- `{space.name}`: n x {space.size}, {_meaning(info, space)}")
        if space.kind == "regression":
            lines.append(
                f"- `{space.name}{DEVIATION}`: n x {space.size}, standard deviations: how far off the values may be"
            )
    return "\n".join(lines)


def limits(info: ModelInfo) -> str:
    """What the model was not made or measured for."""
    lines = [
        "Scores hold for pictures like those of the databases above. Other cameras, light, ages, cultures or ways of"
        " cutting out faces were not measured.",
        "Scores by age, gender, skin colour or origin were not measured: whether the model is as good for all is not"
        " known.",
        "It always answers: also for what is no face, for covered or turned faces, and for faces much smaller than"
        f" {info.image_size} pixels.",
        "Classes are those of the labels: a face that shows something else gets one of them all the same.",
    ]
    if info.window:
        lines.append(
            f"It looks at up to {info.window} consecutive frames of one person; it was not trained for single pictures,"
            " nor for frames far apart."
        )
    else:
        lines.append("It sees each frame by itself: nothing of what came before counts, and answers flicker in videos.")
    if info.smoothing:
        lines.append(f"`abaw-ray predict` smooths its answers over time ({info.smoothing}); the file alone does not.")
    return "\n".join(f"- {line}" for line in lines)


def onnx_code(info: ModelInfo, name: str) -> str:
    """How an ONNX file is run."""
    read = _read_window(info) if info.window else _read_face(info)
    code = f"""\
{"from glob import glob" + chr(10) if info.window else ""}import cv2, numpy as np, onnxruntime

session = onnxruntime.InferenceSession("{name}")
{read}
names = [output.name for output in session.get_outputs()]
for name, values in zip(names, session.run(names, {{"faces": faces}})):
    print(name, values[0].round(3))
"""
    return f"{_command(name)}\n\nOr with onnxruntime and OpenCV alone:\n\n```python\n{code}```"


def torch_code(info: ModelInfo, name: str) -> str:
    """How a torch file is run."""
    read = _read_window(info) if info.window else _read_face(info)
    code = f"""\
{"from glob import glob" + chr(10) if info.window else ""}import cv2, numpy as np, torch

model = torch.export.load("{name}").module()
{read}
with torch.inference_mode():
    for name, values in model(torch.from_numpy(faces)).items():
        print(name, values[0].numpy().round(3))
"""
    return f"{_command(name)}\n\nOr with torch and OpenCV alone:\n\n```python\n{code}```"


CODE: dict[str, Callable[[ModelInfo, str], str]] = {"onnx": onnx_code, "torch": torch_code}
"""Format of a file -> how it is run."""


def _command(name: str) -> str:
    return f"```\nabaw-ray predict video.mp4 --run {name} --out answers\n```"


def _read_face(info: ModelInfo) -> str:
    size = info.image_size
    return f"""\
face = cv2.cvtColor(cv2.imread("face.png"), cv2.COLOR_BGR2RGB)  # a square around the face
faces = cv2.resize(face, ({size}, {size}), interpolation=cv2.INTER_AREA)[np.newaxis]"""


def _read_window(info: ModelInfo) -> str:
    size = info.image_size
    return f"""\
pictures = [cv2.imread(file) for file in sorted(glob("faces/*.png"))[:{info.window}]]  # squares around one face
pictures = [cv2.resize(p, ({size}, {size}), interpolation=cv2.INTER_AREA) for p in pictures]
faces = np.stack([cv2.cvtColor(p, cv2.COLOR_BGR2RGB) for p in pictures])"""


def _meaning(info: ModelInfo, space: LabelSpace) -> str:
    shown = [literal(name) for name in space.names]
    names = ", ".join(shown)
    if space.kind == "multiclass":
        return f"probabilities that sum to 1: {names}"
    if space.kind == "multilabel":
        thresholds = info.thresholds.get(space.name, [0.5] * space.size)
        least = ", ".join(f"{name} {value:.3f}" for name, value in zip(shown, thresholds, strict=True))
        return f"probabilities from 0 to 1, each by itself; present from: {least}"
    return f"values from {space.low:g} to {space.high:g}: {names}"


def _first_line(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").strip().splitlines()[0].rstrip(".")
