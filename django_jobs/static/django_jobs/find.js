/* The search of everything: a dialog that Ctrl-K, / and a button open. Without this script its address is a page. */
"use strict";

(function () {
    const DELAY_MS = 150;
    const TIMEOUT_MS = 10000;
    const {page, results, title, hint, close, failed, found} = document.currentScript.dataset;
    const EDITABLE = "input, textarea, select, [contenteditable]";
    let dialog = null;
    let input, list, state, timer, asked;

    function element(name, attributes, ...children) {
        const made = document.createElement(name);
        Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
        made.append(...children);
        return made;
    }

    /** Add parameters to an address, which may have some. */
    function withQuery(address, parameters) {
        const url = new URL(address, location.href);
        Object.entries(parameters).forEach(([name, value]) => url.searchParams.set(name, value));
        return url;
    }

    function build() {
        input = element("input", {
            type: "search", role: "combobox", "aria-label": hint, "aria-expanded": "false", "aria-controls": "jobs-find-list",
            "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false", placeholder: hint, maxlength: "200",
        });
        list = element("div", {id: "jobs-find-list", role: "listbox", "aria-label": found, hidden: ""});
        state = element("p", {role: "status", class: "jobs-find-message"});
        const button = element("button", {type: "button", class: "jobs-find-close", "aria-label": close}, "\u00d7");
        button.addEventListener("click", () => dialog.close());
        dialog = element("dialog", {class: "jobs-find", "aria-label": title}, element("div", {class: "jobs-find-bar"}, input, button), state, list);
        dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
        input.addEventListener("input", () => {
            clearTimeout(timer);
            timer = setTimeout(ask, DELAY_MS);
        });
        input.addEventListener("keydown", steer);
        document.body.append(dialog);
    }

    function open() {
        if (dialog === null) {
            build();
        }
        if (!dialog.open) {
            dialog.showModal();
            input.select();
            ask();
        }
    }

    /** Ask for what matches; an answer to an earlier text is dropped. */
    async function ask() {
        asked?.abort();
        const mine = asked = new AbortController();
        try {
            const response = await fetch(withQuery(results, {q: input.value}), {
                headers: {Accept: "application/json"}, signal: AbortSignal.any([mine.signal, AbortSignal.timeout(TIMEOUT_MS)]),
            });
            if (!response.ok || response.redirected) {
                throw new Error(response.status);
            }
            const answer = await response.json();
            if (mine === asked) {
                show(answer);
            }
        } catch {
            if (mine === asked) {
                show({groups: [], message: failed});
            }
        }
    }

    function show({groups, message}) {
        let number = 0;
        list.replaceChildren(...groups.map((group, at) => {
            const heading = element("div", {id: `jobs-find-group-${at}`, class: "jobs-find-title", role: "presentation"}, group.title);
            const items = group.items.map((item) => element(
                "a", {id: `jobs-find-${number++}`, role: "option", "aria-selected": "false", tabindex: "-1", href: item.url},
                element("bdi", {}, item.text), ...(item.note ? [" ", element("bdi", {class: "jobs-minor"}, item.note)] : []),
            ));
            return items.length ? element("div", {role: "group", "aria-labelledby": heading.id}, heading, ...items) : "";
        }));
        list.hidden = number === 0;
        input.setAttribute("aria-expanded", String(number > 0));
        state.textContent = [message, ...groups.map((group) => group.message)].filter(Boolean).join(" ") || `${found}: ${number}`;
        choose(0);
    }

    function options() {
        return [...list.querySelectorAll("[role=option]")];
    }

    function chosen() {
        return options().findIndex((option) => option.getAttribute("aria-selected") === "true");
    }

    function choose(at) {
        const all = options();
        all.forEach((option, i) => option.setAttribute("aria-selected", String(i === at)));
        if (all[at]) {
            input.setAttribute("aria-activedescendant", all[at].id);
            all[at].scrollIntoView({block: "nearest"});
        } else {
            input.removeAttribute("aria-activedescendant");
        }
    }

    function steer(event) {
        const number = options().length;
        const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
        if (step && number) {
            event.preventDefault();
            choose((chosen() + step + number) % number);
        } else if (event.key === "Escape" && !event.isComposing) {
            event.preventDefault();  // a browser would empty the field first
            dialog.close();
        } else if (event.key === "Enter" && !event.isComposing) {
            event.preventDefault();
            options()[chosen()]?.click();
        }
    }

    function press(event) {
        const isFind = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey;
        const isSlash = event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest(EDITABLE);
        if (isFind || isSlash) {
            event.preventDefault();
            event.stopImmediatePropagation();
            open();
        }
    }

    /** Show how to open it on every page: the dashboard has a link of its own, which works without a script. */
    function addButton() {
        const links = [...document.querySelectorAll(".jobs-find-link")];
        const trail = document.querySelector(".breadcrumbs, #grp-breadcrumbs, .breadcrumb");
        if (!links.length && trail && !document.querySelector(".jobs-find-form")) {
            const link = element("a", {class: "jobs-find-link", href: page}, `${title} `, element("kbd", {}, "Ctrl K"));
            trail.after(link);
            links.push(link);
        }
        links.forEach((link) => link.addEventListener("click", (event) => {
            if (!event.ctrlKey && !event.metaKey && !event.shiftKey) {
                event.preventDefault();
                open();
            }
        }));
    }

    window.addEventListener("keydown", press, true);
    addButton();
})();
