/* Draws the dashboard's charts and refreshes the page every few seconds while it is visible. */
"use strict";

(function () {
    const REFRESH_MS = 5000;
    const TIMEOUT_MS = 10000;
    const CHART_HEIGHT = 240;
    const PARTS = ["succeeded", "retried", "dead"];
    const TIMES = ["wait50", "wait95", "run50", "run95"];
    const STEPS = [0.00001, 0.0001, 0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 21600, 86400, 864000, 8640000, 864000000];
    const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1], ["millisecond", 0.001]];

    const language = document.documentElement.lang;
    const chartBox = document.getElementById("jobs-chart");
    const backlogBox = document.getElementById("jobs-backlog");
    const timesBox = document.getElementById("jobs-times");
    const state = document.getElementById("jobs-state");
    const figures = document.getElementById("jobs-figures");
    const now = document.getElementById("jobs-now");
    let data = JSON.parse(document.getElementById("jobs-chart-data").textContent);
    let charts = [];
    let timer = null;
    let seenAt = figures.querySelector("[data-seen]").dataset.seen;

    /* As they hold for the charts: a theme may set them further in than on the root. */
    function colour(name) {
        return getComputedStyle(chartBox).getPropertyValue(name).trim();
    }

    /* Bars stand on one another: the tallest, all three together, is drawn first; the line of arrivals last. */
    function stacked() {
        const upTo = (last) => data.at.map((_, i) => PARTS.slice(0, last).reduce((sum, part) => sum + data[part][i], 0));
        return [data.at, upTo(3), upTo(2), upTo(1), data.arrived];
    }

    function backlog() {
        return [data.at, data.waiting];
    }

    /* A level for the whole of each span: as wide as the bars. */
    function steps(box, name, fill) {
        return {
            label: box.dataset[name],
            stroke: colour(`--jobs-${name}`),
            fill,
            width: 2,
            points: {show: false},
            paths: uPlot.paths.stepped({align: 1}),
            value: (_, value) => (value === null || value === undefined ? "–" : value.toLocaleString(language)),
        };
    }

    const countScale = {range: (_, __, max) => [0, Math.max(max * 1.1, 1)]};
    const countAxis = {values: (_, values) => values.map((value) => (Number.isInteger(value) ? value.toLocaleString(language) : ""))};

    function series(part) {
        return {
            label: chartBox.dataset[part],
            fill: colour(`--jobs-${part}`),
            stroke: colour(`--jobs-${part}`),
            width: 0,
            points: {show: false},
            paths: uPlot.paths.bars({size: [0.8, 40], align: 1}),
            value: (_, __, ___, i) => (i === null || i === undefined ? "–" : data[part][i].toLocaleString(language)),
        };
    }

    function axis() {
        return {
            stroke: colour("--body-quiet-color"),
            grid: {stroke: colour("--hairline-color"), width: 1},
            ticks: {stroke: colour("--hairline-color"), width: 1},
            font: "12px system-ui, sans-serif",
        };
    }

    /* A line at each deploy, the newest first. A label without room is left out; the list below the charts has all. */
    function deployLines() {
        return {hooks: {draw: [(chart) => {
            const {ctx, bbox} = chart;
            const ratio = devicePixelRatio;
            let end = bbox.left + bbox.width;
            ctx.save();
            ctx.strokeStyle = ctx.fillStyle = colour("--jobs-deploy");
            ctx.lineWidth = 2 * ratio;
            ctx.setLineDash([6 * ratio, 3 * ratio]);
            ctx.font = `600 ${11 * ratio}px system-ui, sans-serif`;
            ctx.textAlign = "left";
            ctx.textBaseline = "top";
            for (const {at, label} of data.deploys) {
                const x = Math.round(chart.valToPos(at, "x", true));
                ctx.beginPath();
                ctx.moveTo(x, bbox.top);
                ctx.lineTo(x, bbox.top + bbox.height);
                ctx.stroke();
                const text = label.length > 14 ? label.slice(0, 13) + "…" : label;
                const width = ctx.measureText(text).width + 6 * ratio;
                const isLast = end === bbox.left + bbox.width;
                const start = isLast && x + width > end ? x - width : x + 4 * ratio;
                if (start + width <= end) {
                    ctx.fillText(text, start, bbox.top + 2 * ratio);
                }
                end = Math.min(x, start);
            }
            ctx.restore();
        }]}};
    }

    /* What both charts share. The legend's time is the start of a span, wherever in it something is drawn. */
    function options(where, y, yAxis, lines) {
        return {
            width: where.clientWidth,
            height: CHART_HEIGHT,
            tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), chartBox.dataset.zone),
            cursor: {drag: {x: false, y: false}, points: {show: false}},
            scales: {
                x: {range: () => [data.at[0], data.at[data.at.length - 1] + data.span]},
                y,
            },
            axes: [
                {...axis(), values: [
                    [86400, "{MM}-{DD}", null, null, null, null, null, null, 1],
                    [3600, "{HH}:{mm}", "\n{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
                    [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
                ]},
                {...axis(), size: 60, ...yAxis},
            ],
            plugins: [deployLines()],
            legend: {markers: {dash: (self, i) => (self.series[i].dash?.length ? "dashed" : "solid")}},
            series: [
                {label: chartBox.dataset.time, value: (_, __, ___, i) => (i === null || i === undefined ? "" : new Date(data.at[i] * 1000).toLocaleString(language, {timeZone: chartBox.dataset.zone, dateStyle: "short", timeStyle: "short"}))},
                ...lines,
            ],
        };
    }

    /* 0.0123 as "12 ms", in the page's language. */
    function duration(seconds) {
        const [unit, size] = UNITS.find(([, size]) => seconds >= size) || UNITS[UNITS.length - 1];
        return new Intl.NumberFormat(language, {style: "unit", unit, unitDisplay: "short", maximumSignificantDigits: 2}).format(seconds / size);
    }

    function times() {
        return [data.at.map((start) => start + data.span / 2), ...TIMES.map((name) => data[name])];
    }

    function line(name) {
        const isHalf = name.endsWith("50");
        return {
            label: timesBox.dataset[name],
            stroke: colour(`--jobs-${name.slice(0, -2)}`),
            width: isHalf ? 2 : 1.5,
            dash: isHalf ? [] : [5, 4],
            points: {show: true, size: 4, fill: colour(`--jobs-${name.slice(0, -2)}`)},
            value: (_, seconds) => (seconds === null || seconds === undefined ? "–" : duration(seconds)),
        };
    }

    function draw() {
        charts.forEach((chart) => chart.destroy());
        charts = [
            new uPlot(options(
                chartBox, countScale, countAxis,
                [series("dead"), series("retried"), series("succeeded"), steps(chartBox, "arrived")],
            ), stacked(), chartBox),
            new uPlot(options(
                backlogBox, countScale, countAxis, [steps(backlogBox, "waiting", `${colour("--jobs-waiting")}33`)],
            ), backlog(), backlogBox),
            new uPlot(options(
                timesBox,
                {distr: 3, range: (_, min, max) => (min > 0 ? [STEPS.findLast((step) => step <= min), STEPS.find((step) => step > max)] : [0.001, 1])},
                {splits: (_, __, min, max) => STEPS.filter((step) => step >= min && step <= max), filter: (_, splits) => splits, values: (_, values) => values.map(duration)},
                TIMES.map(line),
            ), times(), timesBox),
        ];
    }

    function setStatus(label, isStale) {
        const text = `${label} ${seenAt}`;
        if (state.textContent !== text) {
            state.textContent = text;
        }
        state.classList.toggle("jobs-is-stale", isStale);
    }

    async function refresh() {
        clearTimeout(timer);
        if (document.hidden) {
            setStatus(state.dataset.paused + ",", false);
            return;
        }
        try {
            const response = await fetch(state.dataset.url, {
                headers: {Accept: "application/json"}, signal: AbortSignal.timeout(TIMEOUT_MS),
            });
            if (!response.ok || response.redirected) {
                throw new Error(response.status);
            }
            show(await response.json());
            setStatus(state.dataset.fresh, false);
        } catch {
            setStatus(state.dataset.stale, true);
        }
        timer = setTimeout(refresh, REFRESH_MS);
    }

    /** Tell whether text in what a refresh replaces is selected: it is about to be copied. */
    function isSelected() {
        const {isCollapsed, anchorNode} = getSelection();
        return !isCollapsed && (figures.contains(anchorNode) || now.contains(anchorNode));
    }

    function show(status) {
        if (isSelected()) {
            return;
        }
        const isOpen = now.querySelector(".jobs-as-table").open;
        const isInside = figures.contains(document.activeElement) || now.contains(document.activeElement);
        const focused = isInside ? document.activeElement.getAttribute("href") : null;
        figures.innerHTML = status.figures;
        now.innerHTML = status.now;
        now.querySelector(".jobs-as-table").open = isOpen;
        seenAt = figures.querySelector("[data-seen]").dataset.seen;
        if (focused) {
            document.querySelector(`#content [href="${CSS.escape(focused)}"]`)?.focus({preventScroll: true});
        }
        data = status.chart;
        charts[0].setData(stacked());
        charts[1].setData(backlog());
        charts[2].setData(times());
    }

    draw();
    setStatus(state.dataset.fresh, false);
    timer = setTimeout(refresh, REFRESH_MS);
    document.addEventListener("visibilitychange", refresh);
    new ResizeObserver(() => charts.forEach((chart, i) => chart.setSize({width: [chartBox, backlogBox, timesBox][i].clientWidth, height: CHART_HEIGHT}))).observe(chartBox);
    new MutationObserver(draw).observe(document.documentElement, {attributes: true, attributeFilter: ["data-theme"]});
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
