(function () {
  'use strict';
  var root = document.documentElement;
  var all = function (selector) { return Array.prototype.slice.call(document.querySelectorAll(selector)); };

  // The language: kept in the address after `#`, nowhere else.
  var fromAddress = function () {
    var found = /[#&]lang=(en|ja)\b/.exec(location.hash);
    return found ? found[1] : 'en';
  };
  var keep = function (language) {
    var place = location.hash.replace(/^#/, '').split('&').filter(function (part) {
      return part && !/^lang=/.test(part);
    });
    if (language !== 'en') { place.push('lang=' + language); }
    history.replaceState(null, '', place.length ? '#' + place.join('&') : location.pathname + location.search);
  };
  var show = function (language) {
    root.lang = language;
    all('[data-language][aria-pressed]').forEach(function (button) {
      button.setAttribute('aria-pressed', String(button.dataset.language === language));
    });
    all('option[data-ja]').forEach(function (option) {
      if (!option.dataset.en) { option.dataset.en = option.textContent; }
      option.textContent = option.dataset[language];
    });
  };
  all('.languages').forEach(function (group) { group.hidden = false; });
  all('button[data-language]').forEach(function (button) {
    button.addEventListener('click', function () { show(button.dataset.language); keep(button.dataset.language); });
  });
  window.addEventListener('hashchange', function () {
    // A link to a section replaces all that is behind `#`.
    if (/[#&]lang=/.test(location.hash)) { show(fromAddress()); } else { keep(root.lang); }
  });
  show(fromAddress());

  // The threshold: every attribute `data-set-NAME` lists what NAME is at each place of the slider.
  var slider = document.getElementById('threshold-input');
  if (slider) {
    var parts = [];
    all('.threshold *').forEach(function (element) {
      Array.prototype.forEach.call(element.attributes, function (attribute) {
        if (attribute.name.indexOf('data-set-') === 0) {
          parts.push([element, attribute.name.slice(9), attribute.value.split('|')]);
        }
      });
    });
    var texts = slider.dataset.texts.split('|');
    var move = function () {
      var index = Number(slider.value);
      slider.setAttribute('aria-valuetext', texts[index]);
      parts.forEach(function (part) {
        if (part[1] === 'text') { part[0].textContent = part[2][index]; } else { part[0].setAttribute(part[1], part[2][index]); }
      });
    };
    slider.addEventListener('input', move);
    move();
    all('.slider').forEach(function (element) { element.hidden = false; });
    all('.threshold .noscript').forEach(function (element) { element.hidden = true; });
  }

  // The filters of the changed decisions.
  var form = document.getElementById('flip-filters');
  if (form) {
    var rows = all('#flip-rows > tr');
    var selects = all('#flip-filters select');
    var filter = function () {
      var shown = 0;
      rows.forEach(function (row) {
        var fits = selects.every(function (select) {
          return select.value === '' || row.dataset[select.name] === select.value;
        });
        row.hidden = !fits;
        shown += fits ? 1 : 0;
      });
      all('#flip-shown .shown').forEach(function (element) { element.textContent = String(shown); });
    };
    selects.forEach(function (select) { select.addEventListener('change', filter); });
    form.addEventListener('submit', function (event) { event.preventDefault(); });
    form.hidden = false;
    filter();
  }

  // On paper everything is open but the requests, which are printed only where a reader opened them.
  var opened = [];
  window.addEventListener('beforeprint', function () {
    opened = all('details:not(.request):not([open])');
    opened.forEach(function (element) { element.open = true; });
  });
  window.addEventListener('afterprint', function () {
    opened.forEach(function (element) { element.open = false; });
  });
}());
