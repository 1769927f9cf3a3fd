/* Draws the dashboard's chart and renews the page every few seconds, while somebody looks at it. */
"use strict";

(function () {
    const RENEW_MS = 5000;
    const PATIENCE_MS = 10000;
    const CHART_HEIGHT = 240;
    const PARTS = ["succeeded", "retried", "dead"];

    const box = document.getElementById("jobs-chart");
    const state = document.getElementById("jobs-state");
    const figures = document.getElementById("jobs-figures");
    const now = document.getElementById("jobs-now");
    let data = JSON.parse(document.getElementById("jobs-chart-data").textContent);
    let chart = null;
    let timer = null;
    let seenAt = figures.querySelector("[data-seen]").dataset.seen;

    function colour(name) {
        return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    }

    /* Bars stand on one another: the tallest, all three together, is drawn first. */
    function stacked() {
        const upTo = (last) => data.at.map((_, i) => PARTS.slice(0, last).reduce((sum, part) => sum + data[part][i], 0));
        return [data.at, upTo(3), upTo(2), upTo(1)];
    }

    function series(part) {
        return {
            label: box.dataset[part],
            fill: colour(`--jobs-${part}`),
            stroke: colour(`--jobs-${part}`),
            width: 0,
            points: {show: false},
            paths: uPlot.paths.bars({size: [0.8, 40], align: 1}),
            value: (_, __, ___, i) => (i === null || i === undefined ? "–" : data[part][i].toLocaleString(document.documentElement.lang)),
        };
    }

    function draw() {
        if (chart) {
            chart.destroy();
        }
        const axis = {
            stroke: colour("--body-quiet-color"),
            grid: {stroke: colour("--hairline-color"), width: 1},
            ticks: {stroke: colour("--hairline-color"), width: 1},
            font: "12px system-ui, sans-serif",
        };
        chart = new uPlot({
            width: box.clientWidth,
            height: CHART_HEIGHT,
            tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), box.dataset.zone),
            cursor: {drag: {x: false, y: false}, points: {show: false}},
            scales: {
                x: {range: () => [data.at[0], data.at[data.at.length - 1] + data.span]},
                y: {range: (_, __, most) => [0, Math.max(most * 1.1, 1)]},
            },
            axes: [
                {...axis, values: [
                    [86400, "{MM}-{DD}", null, null, null, null, null, null, 1],
                    [3600, "{HH}:{mm}", "\n{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
                    [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
                ]},
                {...axis, size: 60, values: (_, values) => values.map((one) => (Number.isInteger(one) ? one.toLocaleString(document.documentElement.lang) : ""))},
            ],
            series: [
                {value: (_, seconds) => (seconds === null ? "" : new Date(seconds * 1000).toLocaleString(document.documentElement.lang, {timeZone: box.dataset.zone, dateStyle: "short", timeStyle: "short"}))},
                series("dead"), series("retried"), series("succeeded"),
            ],
        }, stacked(), box);
    }

    function say(words, isStale) {
        const text = `${words} ${seenAt}`;
        if (state.textContent !== text) {
            state.textContent = text;
        }
        state.classList.toggle("jobs-is-stale", isStale);
    }

    async function renew() {
        clearTimeout(timer);
        if (document.hidden) {
            say(state.dataset.paused + ",", false);
            return;
        }
        try {
            const response = await fetch(state.dataset.address, {
                headers: {Accept: "application/json"}, signal: AbortSignal.timeout(PATIENCE_MS),
            });
            if (!response.ok || response.redirected) {
                throw new Error(response.status);
            }
            show(await response.json());
            say(state.dataset.fresh, false);
        } catch {
            say(state.dataset.stale, true);
        }
        timer = setTimeout(renew, RENEW_MS);
    }

    function show(answer) {
        const isOpen = now.querySelector(".jobs-as-table").open;
        const isInside = figures.contains(document.activeElement) || now.contains(document.activeElement);
        const focused = isInside ? document.activeElement.getAttribute("href") : null;
        figures.innerHTML = answer.figures;
        now.innerHTML = answer.now;
        now.querySelector(".jobs-as-table").open = isOpen;
        seenAt = figures.querySelector("[data-seen]").dataset.seen;
        if (focused) {
            document.querySelector(`#content [href="${CSS.escape(focused)}"]`)?.focus({preventScroll: true});
        }
        data = answer.chart;
        chart.setData(stacked());
    }

    draw();
    say(state.dataset.fresh, false);
    timer = setTimeout(renew, RENEW_MS);
    document.addEventListener("visibilitychange", renew);
    new ResizeObserver(() => chart.setSize({width: box.clientWidth, height: CHART_HEIGHT})).observe(box);
    new MutationObserver(draw).observe(document.documentElement, {attributes: true, attributeFilter: ["data-theme"]});
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
