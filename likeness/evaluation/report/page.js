"use strict";
// One script for report and comparison: a film, curves and points that all speak of frames.
const data = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
const film = at("film"), stage = at("stage");
const stills = [...document.querySelectorAll("#stills button")];
const listeners = [];  // called with the frame that is shown
let current = null;

function nearest(values, wanted) {
  let best = 0;
  values.forEach((value, place) => {
    if (Math.abs(value - wanted) < Math.abs(values[best] - wanted)) best = place;
  });
  return best;
}
function tell(frame) {
  if (frame === current) return;
  current = frame;
  listeners.forEach(listener => listener(frame));
}

// --- whole frames -----------------------------------------------------------------------------
// How much wider than high a picture is: the style keeps its buttons on the screen by it.
function shape(box, width, height) {
  if (width && height) box.style.setProperty("--ratio", width / height);
}
function showStill(button) {
  at("under").src = button.dataset.target;
  at("over").src = button.querySelector("img").src;
  at("which").textContent = `frame ${button.dataset.frame}, ${button.dataset.time}`;
  stills.forEach(other => other.setAttribute("aria-pressed", other === button));
}
if (at("wipe")) {
  const wipe = at("wipe"), under = at("under");
  const fit = () => shape(wipe, under.naturalWidth, under.naturalHeight);
  if (under.complete) fit(); else under.addEventListener("load", fit, {once: true});
  wipe.querySelector("input").addEventListener("input", event =>
    wipe.style.setProperty("--at", `${event.target.value}%`));
  at("mode").addEventListener("click", event =>
    event.target.setAttribute("aria-pressed", wipe.classList.toggle("side")));
  stills.forEach(button => button.addEventListener("click", () => showStill(button)));
}

// --- the film ---------------------------------------------------------------------------------
const times = data.film.times;
const middle = place => place + 1 < times.length
  ? (times[place] + times[place + 1]) / 2 : times[place] + 0.001;
function placeNow() {
  let place = 0;
  while (place + 1 < times.length && times[place + 1] <= film.currentTime + 1e-4) place += 1;
  return place;
}
function go(place) {
  film.currentTime = middle(Math.min(Math.max(place, 0), times.length - 1));
}
function inFilm(frame) {
  return Boolean(film) && data.film.frames.includes(frame);  // it may show parts of the clip
}
// Show a frame: in the film where that has it, else the nearest still.
function seek(frame) {
  if (inFilm(frame)) {
    film.pause();
    go(nearest(data.film.frames, frame));
    dock();
  } else if (stills.length) {
    showStill(stills[nearest(stills.map(b => Number(b.dataset.frame)), frame)]);
    at("look").scrollIntoView({block: "start"});
    at("which").textContent += ` (nearest to frame ${frame}, which is not in the film)`;
  }
  tell(frame);
}
// A player that has been scrolled away goes along in a corner while frames are looked up.
let undocked = false;
function dock() {
  const box = stage.getBoundingClientRect();
  const away = box.bottom < 80 || box.top > innerHeight - 80;
  if (away && !undocked) {
    stage.style.minHeight = `${box.height}px`;
    stage.classList.add("docked");
  }
}
if (film) {
  at("undock").addEventListener("click", () => {
    undocked = true;
    stage.classList.remove("docked");
  });
  new IntersectionObserver(([entry]) => {
    if (entry.isIntersecting) stage.classList.remove("docked");
  }, {threshold: 0.25}).observe(stage);
}
function player() {
  const box = at("player"), canvas = box && box.querySelector("canvas");
  const pen = canvas && canvas.getContext("2d"), slider = box && box.querySelector("input");
  const play = at("play"), bar = at("seek"), pair = at("pair");
  const width = film.videoWidth / 2, height = film.videoHeight;
  function draw() {
    if (canvas) {
      const side = pair.getAttribute("aria-pressed") === "true";
      canvas.width = side ? 2 * width : width;
      canvas.height = height;
      shape(box, canvas.width, height);
      if (side) {
        pen.drawImage(film, 0, 0);
      } else {
        const cut = Math.round(width * slider.value / 100);
        pen.drawImage(film, 0, 0, width, height, 0, 0, width, height);
        if (cut < width) pen.drawImage(film, width + cut, 0, width - cut, height,
          cut, 0, width - cut, height);
      }
    }
    const place = placeNow();
    bar.value = place;
    bar.setAttribute("aria-valuetext", `frame ${data.film.frames[place]}`);
    at("clock").textContent = `frame ${data.film.frames[place]}, ${times[place].toFixed(2)} s`;
    tell(data.film.frames[place]);
  }
  function loop() {
    draw();
    if (!film.paused) requestAnimationFrame(loop);
  }
  const toggle = () => film.paused ? film.play() : film.pause();
  const press = (button, act) => button && button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    act(on);
    draw();
  });
  if (canvas) {
    film.hidden = true;
    box.hidden = false;
    slider.addEventListener("input", () => {
      box.style.setProperty("--at", `${slider.value}%`);
      draw();
    });
  } else {
    film.controls = false;
    shape(film, film.videoWidth, film.videoHeight);
    film.addEventListener("click", toggle);
  }
  at("controls").hidden = false;
  bar.max = times.length - 1;
  play.addEventListener("click", toggle);
  at("back").addEventListener("click", () => { film.pause(); go(placeNow() - 1); });
  at("next").addEventListener("click", () => { film.pause(); go(placeNow() + 1); });
  bar.addEventListener("input", () => { film.pause(); go(Number(bar.value)); });
  film.addEventListener("play", () => { play.textContent = "Pause"; loop(); });
  film.addEventListener("pause", () => { play.textContent = "Play"; });
  film.addEventListener("seeked", draw);
  press(pair, on => box.classList.toggle("side", on));
  press(at("slow"), on => { film.playbackRate = on ? 0.25 : 1; });
  document.addEventListener("keydown", event => {
    if (event.target.closest("input, button, summary, a, svg, pre") || event.ctrlKey) return;
    if (event.metaKey || event.altKey) return;
    if (event.key === " ") toggle();
    else if (event.key === ",") { film.pause(); go(placeNow() - 1); }
    else if (event.key === ".") { film.pause(); go(placeNow() + 1); }
    else return;
    event.preventDefault();
  });
  draw();
  document.documentElement.dataset.player = "ready";
}
if (film) {
  if (film.readyState >= 2) player();
  else film.addEventListener("loadeddata", player, {once: true});
}

// --- curves -----------------------------------------------------------------------------------
const plot = data.plot;
document.querySelectorAll("[data-chart]").forEach(card => {
  const chart = data.charts[Number(card.dataset.chart)];
  const svg = card.querySelector("svg"), cursor = card.querySelector(".cursor");
  const keys = [...card.querySelectorAll(".key b")];
  const room = plot.width - plot.left - plot.right;
  let here = 0;
  function read(place) {
    here = place;
    const u = plot.left + (chart.x[place] - chart.span[0]) / (chart.span[1] - chart.span[0]) * room;
    cursor.setAttribute("d", `M${u},${plot.top}V${plot.bottom}`);
    chart.values.forEach((values, line) => {
      keys[line].textContent = values[place] === null ? "–" : values[place];
    });
    svg.setAttribute("aria-valuenow", chart.x[place]);
    const said = chart.names.map((name, line) => `${name} ${keys[line].textContent}`).join(", ");
    svg.setAttribute("aria-valuetext", `${chart.linked ? "frame " : ""}${chart.x[place]}: ${said}`);
  }
  const under = event => {
    const box = svg.getBoundingClientRect();
    const u = ((event.clientX - box.left) / box.width * plot.width - plot.left) / room;
    return nearest(chart.x, chart.span[0] + u * (chart.span[1] - chart.span[0]));
  };
  svg.addEventListener("pointermove", event => read(under(event)));
  svg.addEventListener("keydown", event => {
    const last = chart.x.length - 1;
    const next = {ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: last,
      PageUp: here + 10, PageDown: here - 10}[event.key];
    if (next === undefined) return;
    event.preventDefault();
    read(Math.min(Math.max(next, 0), last));
    if (chart.linked) seek(chart.x[here]);
  });
  if (!chart.linked) return;
  svg.addEventListener("click", event => { read(under(event)); seek(chart.x[here]); });
  svg.addEventListener("pointerleave", () => { if (current !== null) follow(current); });
  const follow = frame => read(nearest(chart.x, frame));
  listeners.push(follow);
});

// --- points and strips ------------------------------------------------------------------------
document.querySelectorAll("[data-points]").forEach(card => {
  const points = data.points[Number(card.dataset.points)];
  const svg = card.querySelector("svg"), ring = card.querySelector(".here");
  const said = card.querySelector(".said");
  let here = 0;
  function mark(place) {
    here = place;
    ring.setAttribute("cx", points.u[place]);
    ring.setAttribute("cy", points.v[place]);
    ring.setAttribute("r", 7);
    said.textContent = `frame ${points.frames[place]}: ${points.texts[place]}`;
    svg.setAttribute("aria-valuenow", points.frames[place]);
    svg.setAttribute("aria-valuetext", said.textContent);
  }
  function under(event) {
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    const u = (event.clientX - box.left) * scale, v = (event.clientY - box.top) * scale;
    return nearest(points.u.map((x, place) => Math.hypot(x - u, points.v[place] - v)), 0);
  }
  if (!points.frames.length) return;
  svg.addEventListener("pointermove", event => mark(under(event)));
  svg.addEventListener("click", event => { mark(under(event)); seek(points.frames[here]); });
  svg.addEventListener("keydown", event => {
    const last = points.frames.length - 1;
    const next = {ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: last}[event.key];
    if (next === undefined) return;
    event.preventDefault();
    mark(Math.min(Math.max(next, 0), last));
    seek(points.frames[here]);
  });
  listeners.push(frame => mark(nearest(points.frames, frame)));
});
document.querySelectorAll("[data-frame-link]").forEach(button =>
  button.addEventListener("click", () => seek(Number(button.dataset.frameLink))));
