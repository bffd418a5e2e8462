"use strict";
// times in milliseconds; numbers in thousandths of their range, -1 where the person is not seen
const data = JSON.parse(document.getElementById("data").textContent);
const player = document.getElementById("player");
const seek = document.getElementById("seek");
const zoom = document.getElementById("zoom");
const last = data.times.length - 1;
const step = last > 0 ? data.times[last] / last : 40;
const end = Math.max(data.times[last] + step, 1) / 1000;
const ROW = 22, LEAST_HEIGHT = 120, MOST_HEIGHT = 264, TICK_ROOM = 72;
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const charts = [], axes = [];
let now = 0, view = [0, end], drawn = "";

function make(tag, className, parent, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

function shown(seconds, digits) {
  const rounded = Number(seconds.toFixed(digits));
  const hours = Math.floor(rounded / 3600), minutes = Math.floor(rounded / 60) % 60;
  const rest = (rounded % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return (hours ? hours + ":" + String(minutes).padStart(2, "0") : minutes) + ":" + rest;
}

// the moment whose picture is shown at a time: the last one that has begun
function momentAt(seconds) {
  const wanted = seconds * 1000 + 0.5;
  let low = 0, high = last;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (data.times[middle] <= wanted) low = middle; else high = middle - 1;
  }
  return low;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}

function build() {
  const choice = document.getElementById("choice"), persons = document.getElementById("persons");
  data.persons.forEach((person, turn) => {
    const section = make("section", "person", persons);
    section.id = "person-" + person.number;
    const title = make("h2", "", section);
    const badge = make("span", "badge", title, "#" + person.number);
    badge.style.background = person.colour;
    make("span", "", title, "Person " + person.number);
    make("span", "seen", title, person.seen);
    data.spaces.forEach((space, place) => buildChart(section, space, person.values[place]));
    const grid = make("div", "chart", section);
    axes.push(make("div", "axis", grid));
    const label = make("label", "", choice);
    const box = make("input", "", label);
    box.type = "checkbox";
    box.checked = turn < data.first;
    section.hidden = !box.checked;
    const mark = make("span", "badge", label, "#" + person.number);
    mark.style.background = person.colour;
    box.setAttribute("aria-label", "Person " + person.number);
    box.addEventListener("change", () => { section.hidden = !box.checked; drawn = ""; update(); });
  });
  if (!data.persons.length) make("p", "", persons, "No face was found in any frame.");
}

function buildChart(section, space, values) {
  const grid = make("div", "chart " + space.kind, section);
  make("h3", "", grid, space.title);
  const legend = make("ul", "legend", grid);
  const lines = space.names.map((name, place) => {
    const item = make("li", "", legend);
    if (space.kind !== "multilabel") make("i", "", item).style.background = space.colours[place];
    make("span", "", item, name).title = name;
    const number = make("b", "", item, "–");
    return { item, number, deviation: make("small", "", item) };
  });
  const plot = make("div", "plot", grid);
  const rows = space.names.length * ROW;
  const height = space.kind === "multilabel" ? rows : Math.min(Math.max(rows, LEAST_HEIGHT), MOST_HEIGHT);
  plot.style.height = height + "px";
  if (space.kind === "multilabel") legend.style.maxHeight = "none"; else legend.style.maxHeight = height + "px";
  const canvas = make("canvas", "", plot);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", space.title + " over time; the numbers beside it are those at the chosen time");
  const chart = { space, values, lines, plot, canvas, cursor: make("div", "cursor", plot) };
  charts.push(chart);
  const go = event => {
    const place = plot.getBoundingClientRect();
    goTo(view[0] + (event.clientX - place.left) / place.width * (view[1] - view[0]));
  };
  plot.addEventListener("pointerdown", event => {
    if (event.button) return;
    plot.setPointerCapture(event.pointerId);
    go(event);
  });
  plot.addEventListener("pointermove", event => { if (plot.hasPointerCapture(event.pointerId)) go(event); });
}

function goTo(seconds) {
  now = Math.min(Math.max(seconds, 0), end);
  if (player && player.readyState) player.currentTime = Math.min(now, player.duration || now);
  update();
}

function update() {
  const moment = momentAt(now);
  const width = Number(zoom.value) || end;
  const begin = Math.min(Math.max(now - width / 2, 0), Math.max(end - width, 0));
  view = [begin, begin + Math.min(width, end)];
  if (drawn !== view.join()) draw();
  document.getElementById("time").textContent = shown(now, 2);
  document.getElementById("frame").textContent = "frame " + data.frames[moment];
  seek.value = now;
  seek.setAttribute("aria-valuetext", shown(now, 1));
  const left = (now - view[0]) / (view[1] - view[0]) * 100 + "%";
  for (const chart of charts) {
    chart.cursor.style.left = left;
    if (chart.plot.offsetParent) tell(chart, moment);
  }
}

// the numbers at the cursor
function tell({ space, values, lines }, moment) {
  const numbers = values.numbers.map(curve => curve[moment]);
  const most = Math.max(...numbers);
  lines.forEach(({ item, number, deviation }, place) => {
    const value = numbers[place];
    let text = "–", around = "", strong = false;
    if (value >= 0 && space.kind === "regression") {
      const scale = (space.high - space.low) / 1000, found = space.low + value * scale;
      text = (space.low < 0 && found >= 0 ? "+" : "") + found.toFixed(2);
      const expected = values.deviations[place][moment];
      if (expected >= 0) around = "± " + (expected * scale).toFixed(2);
      strong = true;
    } else if (value >= 0) {
      text = Math.round(value / 10) + "%";
      strong = space.kind === "multilabel" ? values.present[place][moment] === "1" : value === most;
    }
    if (number.textContent !== text) number.textContent = text;
    if (deviation.textContent !== around) deviation.textContent = around;
    item.classList.toggle("strong", strong);
  });
}

function draw() {
  drawn = view.join();
  const begin = Math.max(momentAt(view[0]) - 1, 0), stop = Math.min(momentAt(view[1]) + 1, last);
  for (const chart of charts) {
    if (!chart.plot.offsetParent) continue;
    const ratio = window.devicePixelRatio || 1, width = chart.plot.clientWidth, height = chart.plot.clientHeight;
    chart.canvas.width = Math.round(width * ratio);
    chart.canvas.height = Math.round(height * ratio);
    const pen = chart.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const stride = Math.max(1, Math.floor((stop - begin) / (3 * width)));
    const moments = [];
    for (let moment = begin; moment <= stop; moment += stride) moments.push(moment);
    const x = moment => (data.times[moment] / 1000 - view[0]) / (view[1] - view[0]) * width;
    const until = moment => x(Math.min(moment + stride, last)) + (moment + stride > last ? step / 1000 / (view[1] - view[0]) * width : 0);
    pen.fillStyle = colour("--chart");
    pen.fillRect(0, 0, width, height);
    DRAW[chart.space.kind](pen, chart, moments, x, until, width, height);
    pen.fillStyle = colour("--absent");
    for (const moment of moments) {
      if (chart.values.numbers[0][moment] < 0) pen.fillRect(x(moment), 0, until(moment) - x(moment) + 0.5, height);
    }
  }
  for (const axis of axes) if (axis.offsetParent) drawAxis(axis);
}

// stretches of moments in which the person is seen
function seen(curve, moments) {
  const parts = [];
  let open = false;
  for (const moment of moments) {
    if (curve[moment] >= 0 && open) parts[parts.length - 1].push(moment);
    else if (curve[moment] >= 0) parts.push([moment]);
    open = curve[moment] >= 0;
  }
  return parts;
}

function band(pen, part, x, until, upper, lower) {
  const final = part[part.length - 1];
  pen.beginPath();
  for (const moment of part) pen.lineTo(x(moment), upper(moment));
  pen.lineTo(until(final), upper(final));
  pen.lineTo(until(final), lower(final));
  for (let k = part.length - 1; k >= 0; k--) pen.lineTo(x(part[k]), lower(part[k]));
  pen.fill();
}

const DRAW = {
  multiclass(pen, { space, values }, moments, x, until, width, height) {
    for (const part of seen(values.numbers[0], moments)) {
      const below = new Map(part.map(moment => [moment, 0]));
      // the first class is on top, as in the legend: each is drawn over all that are under it
      space.names.forEach((_, place) => {
        const top = moment => below.get(moment) / 1000 * height;
        pen.fillStyle = space.colours[place];
        band(pen, part, x, until, top, () => height);
        part.forEach(moment => below.set(moment, below.get(moment) + values.numbers[place][moment]));
      });
    }
  },
  multilabel(pen, { space, values }, moments, x, until, width, height) {
    const row = height / space.names.length, ratio = window.devicePixelRatio || 1;
    const snapped = place => Math.round(place * ratio) / ratio;  // between halves of pixels there would be seams
    pen.fillStyle = colour("--attribute");
    space.names.forEach((_, place) => {
      for (const moment of moments) {
        const share = values.numbers[place][moment] / 1000;
        if (share < 0) continue;
        const present = values.present[place][moment] === "1";
        pen.globalAlpha = present ? 0.6 + 0.4 * share : 0.45 * share;
        pen.fillRect(snapped(x(moment)), place * row + 1, snapped(until(moment)) - snapped(x(moment)), row - 2);
      }
    });
    pen.globalAlpha = 1;
  },
  regression(pen, { space, values }, moments, x, until, width, height) {
    const y = value => height - value / 1000 * height;
    pen.font = "11px system-ui, sans-serif";
    for (const mark of [0, 250, 500, 750, 1000]) {
      pen.fillStyle = colour("--line");
      pen.fillRect(0, Math.min(y(mark), height - 1), width, mark === 500 ? 1.5 : 0.75);
    }
    space.names.forEach((_, place) => {
      const curve = values.numbers[place], deviations = values.deviations[place];
      pen.fillStyle = pen.strokeStyle = space.colours[place];
      for (const part of seen(curve, moments)) {
        pen.globalAlpha = 0.2;
        const side = sign => moment => y(curve[moment] + sign * Math.max(deviations[moment], 0));
        band(pen, part, x, until, side(1), side(-1));
        pen.globalAlpha = 1;
        pen.lineWidth = 2;
        pen.beginPath();
        for (const moment of part) pen.lineTo(x(moment), y(curve[moment]));
        pen.lineTo(until(part[part.length - 1]), y(curve[part[part.length - 1]]));
        pen.stroke();
      }
    });
    pen.fillStyle = colour("--quiet");
    for (const [mark, base] of [[0, "bottom"], [500, "middle"], [1000, "top"]]) {
      pen.textBaseline = base;
      pen.fillText(String(Number((space.low + mark / 1000 * (space.high - space.low)).toFixed(2))), 3, y(mark));
    }
  },
};

function drawAxis(axis) {
  const width = axis.clientWidth, span = view[1] - view[0];
  const between = STEPS.find(each => each / span * width >= TICK_ROOM) || STEPS[STEPS.length - 1];
  axis.replaceChildren();
  for (let k = Math.ceil(view[0] / between - 1e-9); k * between <= view[1]; k++) {
    const left = (k * between - view[0]) / span * width;
    if (left > width - 20) break;
    const mark = make("span", left < 20 ? "first" : "", axis, shown(k * between, between < 1 ? 1 : 0));
    mark.style.left = left + "px";
  }
}

function follow() {
  if (player.paused || player.ended) return;
  now = player.currentTime;
  update();
  requestAnimationFrame(follow);
}

seek.max = end;
seek.step = Math.max(step / 1000, 0.001);
seek.addEventListener("input", () => goTo(Number(seek.value)));
const windows = [10, 60, 300].filter(width => width < end);
[["whole video", ""], ...windows.map(width => [width < 60 ? width + " s" : width / 60 + " min", width])].forEach(
  ([name, value]) => { make("option", "", zoom, name).value = value; });
document.getElementById("zoom-label").hidden = !windows.length;
zoom.addEventListener("change", update);
build();
if (player) {
  const track = () => { now = player.currentTime; update(); };
  ["seeking", "seeked", "timeupdate", "pause"].forEach(name => player.addEventListener(name, track));
  player.addEventListener("play", follow);
  player.addEventListener("error", () => {
    document.getElementById("failed").hidden = false;
    player.hidden = true;
  });
}
const redraw = () => { drawn = ""; update(); };
new ResizeObserver(redraw).observe(document.getElementById("persons"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
update();
