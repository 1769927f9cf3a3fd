/* Shows how far a bulk job is and how a few jobs end, every two seconds, while somebody looks and until all is over. */
"use strict";

(function () {
    const RENEW_MS = 2000;
    const box = document.getElementById("bulk");
    const text = document.getElementById("bulk-text");
    const bar = document.getElementById("bulk-bar");
    const few = document.getElementById("few");
    let timer;

    function isOver() {
        return "ended" in box.dataset && (few === null || "over" in few.dataset);
    }

    async function renew() {
        clearTimeout(timer);
        if (document.hidden) {
            return;
        }
        try {
            const response = await fetch(box.dataset.address, {headers: {Accept: "application/json"}});
            if (response.ok && !response.redirected) {
                show(await response.json());
            }
        } catch {
            /* The next round tries again. */
        }
        if (!isOver()) {
            timer = setTimeout(renew, RENEW_MS);
        }
    }

    function say(element, words) {
        if (element.textContent !== words) {
            element.textContent = words;
        }
    }

    function show(status) {
        say(text, status.text);
        if (status.total) {
            bar.max = status.total;
            bar.value = status.done;
        }
        if (few !== null && status.few !== null) {
            showFew(status.few);
        }
        if (status.is_final && !("ended" in box.dataset)) {
            box.dataset.ended = "";
            location.reload();
        }
    }

    function showFew(status) {
        say(document.getElementById("few-text"), status.text);
        for (const job of status.jobs) {
            const state = few.querySelector(`[data-job="${job.id}"]`);
            if (state !== null) {
                say(state, job.state);
            }
        }
        if (status.are_over) {
            few.dataset.over = "";
        }
    }

    if (!isOver()) {
        timer = setTimeout(renew, RENEW_MS);
        document.addEventListener("visibilitychange", () => isOver() || renew());
    }
})();
