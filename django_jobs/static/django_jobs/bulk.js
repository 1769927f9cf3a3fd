/* Updates a bulk action's progress and the jobs of its sample every two seconds, while the page is visible and until all is final. */
"use strict";

(function () {
    const REFRESH_MS = 2000;
    const bulk = document.getElementById("bulk");
    const text = document.getElementById("bulk-text");
    const bar = document.getElementById("bulk-bar");
    const sample = document.getElementById("sample");
    let timer;

    function isFinal() {
        return "final" in bulk.dataset && (sample === null || "final" in sample.dataset);
    }

    async function refresh() {
        clearTimeout(timer);
        if (document.hidden) {
            return;
        }
        try {
            const response = await fetch(bulk.dataset.url, {headers: {Accept: "application/json"}});
            if (response.ok && !response.redirected) {
                show(await response.json());
            }
        } catch {
            /* The next refresh tries again. */
        }
        if (!isFinal()) {
            timer = setTimeout(refresh, REFRESH_MS);
        }
    }

    function setText(element, value) {
        if (element.textContent !== value) {
            element.textContent = value;
        }
    }

    function show(status) {
        setText(text, status.text);
        if (status.total) {
            bar.max = status.total;
            bar.value = status.done;
        }
        if (sample !== null && status.sample !== null) {
            showSample(status.sample);
        }
        if (status.is_final && !("final" in bulk.dataset)) {
            bulk.dataset.final = "";
            location.reload();
        }
    }

    function showSample(status) {
        setText(document.getElementById("sample-text"), status.text);
        for (const job of status.jobs) {
            const state = sample.querySelector(`[data-job="${job.id}"]`);
            if (state !== null) {
                setText(state, job.state);
            }
        }
        if (status.is_final) {
            sample.dataset.final = "";
        }
    }

    if (!isFinal()) {
        timer = setTimeout(refresh, REFRESH_MS);
        document.addEventListener("visibilitychange", () => isFinal() || refresh());
    }
})();
