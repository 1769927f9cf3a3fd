/* Keeps the progress bars of a page up to date: by server-sent events, else by long polls. */
"use strict";

(function () {
    const PAUSE_MS = 250;
    const RETRY_MS = 5000;
    const MAX_FAILURES = 3;

    function show(box, job) {
        const bar = box.querySelector("progress");
        const labels = JSON.parse(box.dataset.labels);
        const progress = job.progress;
        box.className = `django-jobs-progress django-jobs-${job.state}`;
        if (job.state === "succeeded") {
            bar.value = bar.max;
        } else if (progress && progress.total) {
            bar.max = progress.total;
            bar.value = Math.min(Math.max(progress.done, 0), progress.total);
        } else if (job.is_final) {
            bar.value = 0;
        } else {
            bar.removeAttribute("value");
        }
        let text = labels[job.state];
        if (progress && !job.is_final) {
            text += progress.total ? `: ${progress.done} / ${progress.total}` : "";
            text += progress.message ? ` \u2013 ${progress.message}` : "";
        }
        const line = box.querySelector("[role=status]");
        if (line.textContent !== text) {
            line.textContent = text;
        }
        if (job.result) {
            const link = box.querySelector("a[hidden]");
            if (link) {
                link.href = job.result;
                link.hidden = false;
            }
        }
        box.dispatchEvent(new CustomEvent("django-jobs:change", {bubbles: true, detail: job}));
        if (job.is_final) {
            end(box, job);
        }
    }

    function end(box, job) {
        if (box.dataset.ended !== undefined) {
            return;
        }
        box.dataset.ended = "";
        box.dispatchEvent(new CustomEvent("django-jobs:end", {bubbles: true, detail: job}));
        if (box.dataset.reloads !== undefined) {
            location.reload();
        }
    }

    function stream(box) {
        const source = new EventSource(box.dataset.events);
        let failures = 0;
        source.addEventListener("status", (event) => {
            failures = 0;
            show(box, JSON.parse(event.data));
        });
        source.addEventListener("end", () => source.close());
        source.addEventListener("error", () => {
            failures += 1;
            if (source.readyState === EventSource.CLOSED || failures >= MAX_FAILURES) {
                source.close();
                poll(box);
            }
        });
        addEventListener("pagehide", () => source.close());
    }

    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

    async function poll(box) {
        let known = null;
        let failures = 0;
        while (box.dataset.ended === undefined && box.isConnected && failures < MAX_FAILURES) {
            let delay = PAUSE_MS;
            try {
                const began = performance.now();
                const response = await ask(box, known);
                if (response.status === 304) {
                    const wasAtOnce = performance.now() - began < box.dataset.wait * 500;
                    delay = wasAtOnce ? Number(response.headers.get("Retry-After") || 1) * 1000 : PAUSE_MS;
                } else if (response.ok) {
                    known = response.headers.get("ETag");
                    show(box, await response.json());
                } else {
                    failures = response.status < 500 ? MAX_FAILURES : failures + 1;
                    delay = RETRY_MS;
                    continue;
                }
                failures = 0;
            } catch {
                failures += 1;
                delay = RETRY_MS;
            } finally {
                if (box.dataset.ended === undefined) {
                    await pause(delay);
                }
            }
        }
    }

    function ask(box, known) {
        const headers = {Accept: "application/json, application/problem+json"};
        if (known) {
            headers["If-None-Match"] = known;
        }
        const query = known ? `?wait=${box.dataset.wait}` : "";
        return fetch(box.dataset.djangoJobs + query, {headers, cache: "no-store"});
    }

    for (const box of document.querySelectorAll("[data-django-jobs]")) {
        if (box.dataset.followed === undefined && box.dataset.ended === undefined) {
            box.dataset.followed = "";
            if (box.dataset.events && "EventSource" in window) {
                stream(box);
            } else {
                poll(box);
            }
        }
    }
})();
