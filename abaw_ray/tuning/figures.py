"""The figures of a sweep's page, as Plotly draws them in SVG: no WebGL, which servers' browsers lack."""

from __future__ import annotations

import math

import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from abaw_ray.tuning.importance import importances, is_logarithmic, is_number
from abaw_ray.tuning.results import Status, Sweep, Trial, Value

CRITERION = "criterion (validation)"
COLOURS = "Viridis"
SYMBOLS: dict[Status, str] = {"finished": "circle", "stopped": "x-thin", "failed": "square", "unfinished": "diamond"}
NUM_TICKS = 5
NUM_EPOCH_TICKS = 12
"""Most numbers on the axis of epochs, which are whole."""


def figures(sweep: Sweep) -> dict[str, go.Figure]:
    """Title -> figure; those for which there are no numbers yet are left out."""
    scored = [trial for trial in sweep.trials if trial.best is not None]
    if not scored:
        return {}
    made = {
        "All trials: a line each, from its parameters to its criterion": _parallel(sweep, scored),
        "Criterion against each parameter": _slices(sweep, scored),
        "Learning curves": _curves(sweep, scored),
    }
    by_parameter = importances(sweep)
    if by_parameter:
        made["Importance of each parameter"] = _bars(by_parameter)
    return made


class _Axis:
    """One parameter on a scale from 0 to 1, with its ticks."""

    def __init__(self, values: list[Value]) -> None:
        if all(is_number(value) for value in values):
            numbers = [float(value) for value in values]  # type: ignore[arg-type]
            self.logarithmic = is_logarithmic(numbers)
            low, high = (self._scale(f(numbers)) for f in (min, max))
            span = high - low or 1.0
            self.places = [(self._scale(n) - low) / span for n in numbers]
            steps = [low + span * i / (NUM_TICKS - 1) for i in range(NUM_TICKS)] if high > low else [low]
            self.ticks = [((s - low) / span, f"{10**s if self.logarithmic else s:.3g}") for s in steps]
        else:
            self.logarithmic = False
            names = sorted({str(value) for value in values})
            place = {name: i / max(len(names) - 1, 1) for i, name in enumerate(names)}
            self.places = [place[str(value)] for value in values]
            self.ticks = [(place[name], name) for name in names]

    def _scale(self, number: float) -> float:
        return math.log10(number) if self.logarithmic else number


def _parallel(sweep: Sweep, trials: list[Trial]) -> go.Figure:
    columns: dict[str, list[Value]] = {name: [t.parameters.get(name) for t in trials] for name in sweep.names}
    columns[CRITERION] = [t.best for t in trials]
    axes = {name: _Axis(values) for name, values in columns.items()}
    figure = go.Figure()
    for i, trial in sorted(enumerate(trials), key=lambda pair: pair[1].best or 0.0):
        heights = [axis.places[i] for axis in axes.values()]
        figure.add_scatter(
            x=list(range(len(axes))),
            y=heights,
            mode="lines",
            line={"color": _colour(axes[CRITERION].places[i]), "width": 3 if trial is sweep.best else 1.5},
            name=trial.name,
            text=_hover(trial),
            hoverinfo="text",
        )
    for x, axis in enumerate(axes.values()):
        figure.add_shape(type="line", x0=x, x1=x, y0=0, y1=1, line={"color": "#666", "width": 1}, layer="below")
        for y, text in axis.ticks:
            figure.add_annotation(
                x=x, y=y, text=text, showarrow=False, xanchor="right", xshift=-4, font={"size": 10}, bgcolor="white"
            )
    figure.update_xaxes(tickvals=list(range(len(axes))), ticktext=list(axes), showgrid=False, zeroline=False)
    figure.update_xaxes(range=[-0.35, len(axes) - 0.85], side="top")
    figure.update_yaxes(visible=False, range=[-0.05, 1.05])
    return _finished(figure, 390).update_layout(margin_b=20)


def _slices(sweep: Sweep, trials: list[Trial]) -> go.Figure:
    num_columns = min(len(sweep.names), 3)
    num_rows = -(-len(sweep.names) // num_columns)
    figure = make_subplots(num_rows, num_columns, shared_yaxes=True, vertical_spacing=0.28 / num_rows)
    for i, name in enumerate(sweep.names):
        place = {"row": i // num_columns + 1, "col": i % num_columns + 1}
        axis = _Axis([trial.parameters.get(name) for trial in trials])
        for status, symbol in SYMBOLS.items():
            chosen = [trial for trial in trials if trial.status == status]
            values = [trial.parameters.get(name) for trial in chosen]
            figure.add_scatter(
                **place,
                x=[value if is_number(value) else str(value) for value in values],
                y=[trial.best for trial in chosen],
                mode="markers",
                marker={"symbol": symbol, "size": 9, "color": "#31688e", "line": {"width": 2, "color": "#31688e"}},
                name=status,
                legendgroup=status,
                showlegend=i == 0 and bool(chosen),
                text=[_hover(trial) for trial in chosen],
                hoverinfo="text",
            )
        figure.update_xaxes(title=name, type="log" if axis.logarithmic else None, exponentformat="power", **place)
    figure.update_yaxes(title=CRITERION, col=1)
    return _finished(figure, 120 + 260 * num_rows, legend=True)


def _curves(sweep: Sweep, trials: list[Trial]) -> go.Figure:
    figure = go.Figure()
    for trial in trials:
        best, whole = trial is sweep.best, trial.status == "finished"
        figure.add_scatter(
            x=list(range(1, len(trial.criteria) + 1)),
            y=list(trial.criteria),
            mode="lines+markers",
            line={
                "color": "#440154" if best else "#21908d" if whole else "#aaa",
                "width": 3 if best else 1.5,
                "dash": "solid" if whole else "dot",
            },
            marker={"size": 4},
            name="best" if best else "finished" if whole else "stopped or cut off",
            legendgroup="best" if best else str(whole),
            text=_hover(trial),
            hoverinfo="text",
        )
    _one_legend_entry_a_group(figure)
    figure.update_xaxes(
        title="epoch", range=[0.5, sweep.epochs + 0.5], tick0=1, dtick=max(1, -(-sweep.epochs // NUM_EPOCH_TICKS))
    )
    figure.update_yaxes(title=CRITERION)
    return _finished(figure, 420, legend=True)


def _bars(by_parameter: dict[str, float]) -> go.Figure:
    names = list(by_parameter)[::-1]
    figure = go.Figure(go.Bar(x=[by_parameter[name] for name in names], y=names, orientation="h"))
    figure.update_traces(marker_color="#31688e", texttemplate="%{x:.2f}", textposition="outside", cliponaxis=False)
    figure.update_xaxes(title="importance (all: 1)", range=[0, 1.08])
    figure.update_yaxes(automargin=True)
    return _finished(figure, 110 + 34 * len(names))


def _one_legend_entry_a_group(figure: go.Figure) -> None:
    seen: set[str] = set()
    for trace in figure.data:
        trace.showlegend = trace.legendgroup not in seen
        seen.add(trace.legendgroup)


def _finished(figure: go.Figure, height: int, legend: bool = False) -> go.Figure:
    figure.update_layout(
        template="plotly_white",
        height=height,
        showlegend=legend,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
        hovermode="closest",
    )
    return figure


def _hover(trial: Trial) -> str:
    lines = [trial.name, *(f"{name} {_short(value)}" for name, value in trial.parameters.items())]
    # Plotly reads a few HTML tags in texts
    return "<br>".join([line.replace("<", "&lt;") for line in lines] + [f"criterion {trial.best:.4f}, {trial.status}"])


def _short(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _colour(place: float) -> str:
    return sample_colorscale(COLOURS, [0.9 * (1 - place)])[0]
