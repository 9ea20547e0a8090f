"""Writes ../model/golden/templates.json: what Transformers' `render_jinja_template` (Jinja2 with its own filters and globals) makes of
expressions and whole templates. `null` stands for an error there, and for a text that holds an address in memory.

    pip install transformers jinja2
    python3 templates.py
"""
import json, os, sys
import jinja2, transformers
from transformers.utils import chat_template_utils
from transformers.utils.chat_template_utils import render_jinja_template
import datetime as real

class Fixed(real.datetime):
    @classmethod
    def now(cls, tz=None): return cls(2026, 11, 30)
chat_template_utils.datetime = Fixed

VALUES = {"n": 7, "f": 2.5, "s": "Hello, World", "e": "", "l": [3, 1, 2], "d": {"b": 1, "a": [1, None, True], "items": 3}, "rows": [
    {"name": "x", "k": 2, "on": True}, {"name": "Y", "k": 1, "on": False}, {"name": "z", "k": 2}], "t": "<a & 'b'>\n\tné 日本 \"q\"", "u": "  two  words\n", "none_": None, "b": True}

EXPRESSIONS = r"""
1 + 2 * 3 ; 7 // 2 ; -7 // 2 ; -7 % 3 ; 7 / 2 ; 6 / 2 ; 2 ** 10 ; 2 ** -1 ; -2 ** 2 ; 2 ** 3 ** 2 ; 1.0 ; 1e16 ; 1e15 ; 0.1 + 0.2 ; 1e-5 ; 0.0001 ; 1_000 ; 0x1F ; 7.0 // 2 ; -7.5 % 2 ; 5 % -3 ; true + 1
'a' ~ none ~ 1 ~ true ~ 1.5 ~ [1] ; 'a' 'b' ; 'a' + 'b' ; 'ab' * 3 ; [1] * 2 + [2] ; (1, 2) + (3,) ; (1,) ; () ; [] ; {} ; {'a': 1, 'b': [none, 'x']} ; {1: 2, true: 3} ; [1, 'x', none, true, 2.0, {'a': "it's"}, 'say "hi"', 'both \' and "'] ; ['a\nb\t\\', 'é\x7f\u200b😀']
none ; true ; missing ; missing ~ 'x' ; [missing] ; missing is defined ; missing | default('d') ; missing == none ; missing | length ; missing | upper ; missing | list ; 'x' in missing ; none_ ; none_ is none ; none == none ; missing.x ; missing + 1 ; missing()
s[0] ; s[-1] ; s[1:4] ; s[::-1] ; s[:-3] ; s[20] ; s[3:1] ; s[-100:100] ; s[5:0:-2] ; l[0] ; l[-1] ; l[9] ; l[1:] ; l[::-1] ; l[::2] ; (1, 2, 3)[1:] ; d['a'] ; d.a[2] ; d.nothing ; d['nothing'] ; d.items ; d['items'] ; l.0 ; range(5)[2] ; range(5)[1:3] | list ; l['x']
1 < 2 < 3 ; 1 < 3 < 2 ; 1 == 1.0 ; 1 == true ; 'a' < 'b' ; [1, 2] < [1, 3] ; 'a' == 1 ; 1 in l ; 5 not in l ; 'ell' in s ; 'b' in d ; 1 in d ; not 1 == 2 ; not '' ; 1 and 0 ; 0 or 'x' ; '' or none ; 1 if 0 ; 1 if 0 else 2 ; (1 if 1 else 2) ~ 'x' ; 1 < 'a' ; [3, 'a'] | sort ; 1 in 2
s.upper() ; s.lower() ; s.title() ; "it's a l33t-dog" | title ; "it's a dog".title() ; 'hELLO wORLD'.capitalize() ; 'hELLO' | capitalize ; s.replace('l', 'L') ; s.replace('l', 'L', 1) ; s | replace('l', 'L', 1) ; 'abc'.replace('', '-') ; 'abc' | replace('', '-', 2) ; 12 | replace(1, 3) ; s.swapcase() ; 'ß'.upper() ; 'ΑΣ'.lower() ; 'straße' | upper
u.strip() ~ '|' ; u.lstrip() ~ '|' ; u.rstrip() ~ '|' ; 'xxaxx'.strip('x') ; u | trim ; 'abcba' | trim('ab') ; u.split() ; u.split(' ') ; 'a,b,,c'.split(',') ; 'a,b,c'.split(',', 1) ; 'a,b,c'.rsplit(',', 1) ; ' a b  c '.split(none, 1) ; ' a b  c '.rsplit(none, 1) ; ''.split() ; ''.split(',') ; 'a\nb\r\nc\n'.splitlines() ; 'a\nb'.splitlines(true) ; 'a-b-c'.partition('-') ; 'a-b-c'.rpartition('-') ; 'abc'.partition('x') ; 'abc'.rpartition('x') ; ','.join(['a', 'b']) ; '-'.join('abc') ; ','.join([1])
s.startswith('He') ; s.startswith(('x', 'H')) ; s.endswith('d') ; s.startswith('l', 2) ; s.find('o') ; s.find('o', 5) ; s.rfind('o') ; s.find('zz') ; s.index('W') ; s.index('zz') ; s.count('l') ; 'aaaa'.count('aa') ; 'abc'.count('') ; 'né日'.find('日') ; 'abc'.removeprefix('a') ; 'abc'.removesuffix('c') ; 'abc'.isalpha() ; 'a1'.isalnum() ; '12'.isdigit() ; ''.isdigit() ; ' \n'.isspace() ; 'Ab Cd'.istitle() ; 'AB'.isupper() ; 'ab1'.islower() ; 'é'.isalpha() ; 'é'.isascii()
'7'.zfill(3) ; '-7'.zfill(4) ; 'a'.ljust(3, '.') ~ '|' ; 'a'.rjust(3) ; 'ab'.center(5, '*') ; 'abc'.center(6, '*') ; 'a' | center(6) ~ '|' ; 'a\tb'.expandtabs(4) ; 'A'.casefold()
'%s-%d' % ('a', 3) ; '%5.2f|' % 3.14159 ; '%05d' % 42 ; '%-5s|' % 'ab' ; '%+d' % 5 ; '%x %X %o' % (255, 255, 8) ; '%#x' % 255 ; '%e' % 12345.678 ; '%g %g' % (0.00001, 100000.0) ; '%r' % 'a' ; '%s' % none ; '%%' % () ; '%(a)s' % {'a': 1} ; '%s %s' % ('a',) ; '%s' % ('a', 'b') ; 'x' % 1 ; '%d' % 'a' ; '%s' % [1, 2] ; '%.2s' % 'abc' ; '%c' % 65 ; '%*d' % (5, 3) ; '%g' % 1e20 ; '%s: %s' | format('a', 1) ; '%(x)s' | format(x=2) ; '%d' % 3.7 ; '%i' % true
'{} {}'.format(1, 'a') ; '{1}{0}'.format('a', 'b') ; '{x}'.format(x=2) ; '{:>5}|{:<5}|{:^5}|'.format('a', 'b', 'c') ; '{:05d}'.format(42) ; '{:.2f}'.format(3.14159) ; '{:,}'.format(1234567) ; '{!r}'.format('a') ; '{0[a]}'.format({'a': 1}) ; '{{}}'.format() ; '{:x}'.format(255) ; '{:%}'.format(0.25) ; '{:e}'.format(12.5) ; '{:+}'.format(3) ; '{:*^7}'.format('a') ; '{}'.format(none) ; '{}'.format()
l | length ; s | length ; 'né日' | length ; d | length ; l | first ; l | last ; [] | first ; s | first ; s | last ; l | sort ; l | sort(reverse=true) ; ['b', 'A', 'c'] | sort ; ['b', 'A', 'c'] | sort(case_sensitive=true) ; rows | sort(attribute='k') | map(attribute='name') | list ; rows | sort(attribute='k,name') | map(attribute='name') | join ; l | reverse | list ; s | reverse ; l | sum ; [1.5, 2] | sum ; rows | sum(attribute='k') ; l | min ; l | max ; ['b', 'A'] | min ; rows | max(attribute='k') ; [] | max ; l | join('-') ; [1, none, 'a'] | join ; rows | join(', ', attribute='name') ; s | list ; d | list ; (1, 2) | list
rows | map(attribute='k') | list ; rows | map(attribute='on', default='?') | list ; ['a', 'b'] | map('upper') | list ; ['a'] | map('replace', 'a', 'c') | join ; rows | selectattr('on') | map(attribute='name') | list ; rows | selectattr('k', 'equalto', 2) | map(attribute='name') | list ; rows | rejectattr('on') | map(attribute='name') | list ; rows | selectattr('on', 'defined') | list | length ; [1, 2, 3, 4] | select('odd') | list ; [1, 2, 3, 4] | reject('odd') | list ; [0, 1, '', 'a'] | select | list ; [1, 2, 3] | select('gt', 1) | list ; ['a', 'A', 'b'] | unique | list ; ['a', 'A'] | unique(case_sensitive=true) | list ; [1, 1.0, true] | unique | list ; [1, 2, 3, 4, 5] | batch(2) | list ; [1, 2, 3] | batch(2, 0) | list ; [1, 2, 3, 4, 5] | slice(2) | list ; [1, 2, 3] | slice(2, 0) | list ; rows | groupby('k') | list ; rows | groupby('on', default=false) | map('first') | list
d | dictsort ; {'b': 1, 'A': 2} | dictsort ; {'b': 1, 'A': 2} | dictsort(true) ; {'b': 1, 'a': 2} | dictsort(by='value') ; {'b': 1, 'a': 2} | dictsort(reverse=true) ; {'a': 1}.items() ; {'a': 1}.keys() ; {'a': 1}.values() ; {'a': 1}.items() | list ; {'a': 1} | items | list ; {'a': 1}.get('a') ; {'a': 1}.get('b') ; {'a': 1}.get('b', 2) ; dict(a=1, b=2) ; dict([('a', 1)]) ; dict({'a': 1}, b=2) ; {'a': 1} == {'a': 1.0} ; range(3) ; range(1, 10, 3) | list ; range(5, 0, -2) | list ; range(0) | list
d | tojson ; l | tojson ; t | tojson ; none | tojson ; true | tojson ; 1.0 | tojson ; 'é日😀\x7f\x01' | tojson ; 'é😀' | tojson(ensure_ascii=true) ; d | tojson(indent=2) ; [] | tojson(indent=2) ; {} | tojson(indent=4) ; {'b': 1, 'a': {}} | tojson(sort_keys=true) ; l | tojson(separators=(',', ':')) ; {'a': [1, {'b': 2}]} | tojson(indent='--') ; {1: 'a', none: 2, true: 3} | tojson ; (1, 2) | tojson ; missing | tojson ; '</script>' | tojson ; [1e16, 1e-7] | tojson ; d | tojson | safe ; "a'b" | tojson
'3' | int ; '3.7' | int ; 'x' | int ; 'x' | int(5) ; 3.9 | int ; -3.9 | int ; '0x1f' | int(base=16) ; none | int ; ' 12 ' | int ; '1_0' | int ; '3.5' | float ; 'x' | float ; 'x' | float(1.5) ; 3 | float ; 'inf' | float ; '1e3' | float ; 2.5 | round ; 3.5 | round ; 2.675 | round(2) ; 42.55 | round(1, 'floor') ; 42.51 | round(0, 'ceil') ; 5 | round ; 7 | abs ; -7.5 | abs ; 3 | string ~ 'x' ; [1] | string
'a b  c-d' | wordcount ; 'né_1 日本' | wordcount ; 'a\nb\n\nc' | indent ; 'a\nb\n\nc' | indent(2, true) ; 'a\n\nb' | indent(2, blank=true) ; 'a\nb\n' | indent('>') ; s | truncate(8) ; s | truncate(8, true) ; 'foo bar baz qux' | truncate(9) ; 'foo bar baz qux' | truncate(11) ; 'foo bar baz qux' | truncate(11, false, '...', 0) ; t | e ; t | escape ; '<a>' | safe ; 'a b/ü' | urlencode ; 'a' | default('b') ; '' | default('b') ; '' | default('b', true) ; none | default('b') ; none | d('b', true) ; d | attr('items') is callable
none | selectattr('a', 'eq', 1) | list ; none | map('upper') | list ; 0 | select | list ; missing | map(attribute='a') | list ; none | list ; none | join ; none | sort ; none | length ; none | first ; none | upper ; none | trim ; 5 | upper ; [1] | upper ; none | tojson ; none | replace('N', 'M') ; none | items | list ; missing | items | list ; missing | tojson | length ; missing | int ; missing | sort ; missing | join ; missing | first ; missing | trim ; missing | replace('a', 'b') ; missing ~ missing ; missing is none ; missing == missing ; not missing ; missing or 'x' ; missing and 1 ; missing | default ; [missing, none] | map('default', 'x') | list ; d.zz | default('q') ; 'a' in none ; none == false ; 0 == false ; '' == false ; [] == () ; -0.0 ; 1e300 * 1e10 ; 3 // 0.5 ; 1 // 0 ; 0 ** 0 ; 10 % 4.5 ; s * 0 ; s * -1 ; 'a' < 'B' ; 'é' < 'z' ; [1, [2, 'x']] == [1, [2, 'x']] ; {'a': 1}.a ; {'a': 1}['b'] is defined ; {'x': {'y': 2}}.x.y ; 'abc' | list | join('.') ; 'abc'[1:] ~ 'abc'[:1] ; 'a b c'.split()[-1] ; ('a', 'b') | join ; s.split(', ')[1] | lower
1 is odd ; 2 is even ; 6 is divisibleby 3 ; 6 is divisibleby(4) ; 's' is string ; 1 is string ; 1 is number ; true is number ; 1 is integer ; true is integer ; 1.0 is float ; true is boolean ; none is none ; d is mapping ; l is mapping ; l is sequence ; s is sequence ; d is sequence ; missing is sequence ; l is iterable ; 1 is iterable ; missing is iterable ; s is iterable ; 'a' is lower ; 'A' is upper ; 'Aa' is lower ; 1 is eq 1 ; 1 is ne(2) ; 3 is gt 2 ; 1 is in [1, 2] ; none is sameas none ; true is true ; 1 is true ; false is false ; range is callable ; s.upper is callable ; 'upper' is filter ; 'nope' is filter ; 'odd' is test ; 1 is not none ; missing is not defined ; d.b is defined and d.zz is not defined ; missing is undefined ; 2 is odd or 3 is odd
messages[0].content ; messages[0]['role'] ; messages | length ; messages[-1].role ; messages[0] ; messages | map(attribute='role') | join(',') ; messages | selectattr('role', 'eq', 'user') | list ; tools is none ; documents is none ; tools ; add_generation_prompt ; bos_token ~ eos_token ; pad_token ; pad_token is defined ; unk_token is defined ; strftime_now('%Y-%m-%d') ; strftime_now('%d %B %Y') ; strftime_now('%A %a %b %j %U %W %V %G %u %w %y %H:%M:%S %p %I %%') ; strftime_now('%-d.%-m.') ; strftime_now is defined ; strftime_now('%e %F %D %T %c|%x|%X|%R') ; namespace(a=1).a ; namespace(a=1).b is defined ; namespace({'a': 2}).a ; self is defined ; raise_exception('no') ; caller is defined ; loop is defined ; range(100001) ; s.__class__ ; l.append(1) ; d.update({}) ; s | nothing ; s is nothing ; 'a' | map ; {[1]: 2} ; 1 / 0 ; 1 % 0 ; 'x' + 1 ; s.nothing ; s.nothing.more ; (1).real is defined ; lambda ; 1 + ; 'a
"""

M = [{"role": "system", "content": " Be kind. "}, {"role": "user", "content": "Hi <b> & 'you'"}, {"role": "assistant", "content": "Yes\nno"}, {"role": "user", "content": "日本?"}]
CHAT = "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + '<|end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
TEMPLATES = [
    CHAT,
    "{% for m in messages %}\n  {% if loop.first %}\nfirst\n  {% elif loop.last %}\nlast\n  {%- else %}\n mid {{ loop.index }}/{{ loop.length }} {{ loop.revindex0 }}\n  {% endif %}\n{% endfor %}\nend\n",
    "{%- for m in messages -%}\n  {{- m.content -}}\n  |\n{%- endfor -%}\n  tail  \n\n",
    "a\n  {# comment #}\nb {#- gone -#}  c\n{#+ kept #}\nd",
    "  {%+ if true %}\nx\n  {%+ endif +%}\ny",
    "{% raw %}{{ x }} {% if %}{% endraw %}\nz{%- raw -%}  {{ y }}  {%- endraw %}\nw",
    "{% set ns = namespace(n=0, last=none) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.n = ns.n + 1 %}{% set ns.last = m.content %}{% endif %}{% endfor %}{{ ns.n }}{{ ns.last }}",
    "{% set x = 1 %}{% for m in messages %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}",
    "{% macro say(a, b='d', c=b) %}[{{ a }}{{ b }}{{ c }}{{ varargs }}{{ kwargs }}]{% endmacro %}{{ say(1) }}{{ say(1, 2) }}{{ say(1, c=3) }}{{ say(1, 2, 3, 4, e=5) }}{{ say.name }}",
    "{% macro wrap(t) %}<{{ t }}>{{ caller('x') }}</{{ t }}>{% endmacro %}{% call(v) wrap('p') %}in {{ v }}{% endcall %}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }}{% if not loop.last %}, {% endif %}{% else %}none{% endfor %}{% for x in [] %}{% else %}empty{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}:{{ m.content }}{{ loop.last }};{% endfor %}{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% set ns = namespace(done=false) %}{% for x in range(6) if not ns.done %}{{ x }}{% if x == 2 %}{% set ns.done = true %}{% endif %}{% endfor %}",
    "{% for n in [{'v': 1, 'c': [{'v': 2, 'c': []}]}, {'v': 3, 'c': []}] recursive %}{{ loop.depth }}{{ n.v }}{% if n.c %}({{ loop(n.c) }}){% endif %}{% endfor %}",
    "{% set block %}\n  some {{ 1 + 1 }} text\n{% endset %}[{{ block }}]{% set up | upper | trim %} abc {% endset %}[{{ up }}]{% filter replace('a', 'b') %}banana{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% set c = 3 %}{{ c }}{% endwith %}{{ a is defined }}{{ c is defined }}",
    "{% for m in messages %}{% generation %}{{ m.content }}{% set z = 1 %}{% endgeneration %}{{ z is defined }}\n{% endfor %}",
    "{% for m in messages %}\n    {%- if m.role == 'assistant' %}\n        {%- generation %}\n    {{ m.content }}\n        {%- endgeneration -%}\n    {%- endif %}\n{% endfor %}",
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] | trim %}{% set messages = messages[1:] %}{% else %}{% set system = 'none' %}{% endif %}{{ system }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order') }}{% endif %}[{{ m.role }}]{% endfor %}",
    "{% if not enable_thinking is defined %}{% set enable_thinking = true %}{% endif %}{{ enable_thinking }}{% if tools %}T{% elif tools is none %}N{% endif %}{% if documents %}D{% endif %}",
    "{% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }}{{ loop.cycle('x', 'y') }}{{ loop.changed(a // 3) }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}{% set p, q = 'ab' %}{{ q }}{{ p }}",
    "{% set a = [1, 2] %}{% set b = a + [3] %}{{ a }}{{ b }}{{ a | length }}{% print a, 'x' %}{% set (m, n) = (1, (2, 3)) %}{{ n }}",
    "{{ messages | tojson(indent=2) }}\n{{ messages[0] | tojson }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}{{ x(1) if x is defined }}",
    "{% macro outer() %}{{ v }}{% endmacro %}{% set v = 'late' %}{{ outer() }}{% for v in [1] %}{{ outer() }}{% endfor %}",
    "{% for c in messages[1].content %}{% if c in '<>&' %}{{ c }}{% endif %}{% endfor %}{{ messages[1].content.split('<') }}{{ '</think>' in messages[1].content }}",
    "{{ 'Cutting Knowledge Date: December 2023\\nToday Date: ' + strftime_now('%d %b %Y') }}\r\n{% if strftime_now is defined %}yes{% endif %}\r\nend\r\n",
    "{% if x %}", "{% for x in %}{% endfor %}", "{{ 1 }", "{% endif %}", "{% unknown %}", "{{ (1 }}", "{% set x %}", "{% break %}", "{{ messages[0].content.content.x }}", "{% for m in 5 %}{% endfor %}", "{{ say('x') }}",
    "{% set x.y = 1 %}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}{{ m(b=1) }}",
    "{{ '{{' }}{{ \"}}\" }}{{ {'a': {'b': 1}}['a'] }}{{ {'a': {}} }}", "{{- ' x ' -}}   y {{ 'z' }}  \n  {{ 'w' }}\n", "{% if true -%}   a   {%- endif %}\n\n  b\n", "\n\n{% if true %}\n\n{{ 1 }}\n{% endif %}\n\n\n",
    "{% for m in messages %}{% for n in messages if n.role == m.role %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}",
    "{% set out = [] %}{% for m in messages %}{% set out = out + [m.role] %}{% endfor %}{{ out }}{% set ns = namespace(o=[]) %}{% for m in messages %}{% set ns.o = ns.o + [m.role] %}{% endfor %}{{ ns.o | join('>') }}",
    "{%- set sys -%}\n   {{ messages[0].content | trim }}\n{%- endset -%}\n{{ sys }}{% set u = messages | selectattr('role', 'equalto', 'user') | list %}{{ u[-1].content }}{{ u | length }}",
]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}

def render(template, names, prompt=True):
    try: text = render_jinja_template([M], chat_template=template, add_generation_prompt=prompt, **SPECIAL, **names)[0][0]
    except Exception: return None
    return None if " at 0x" in text else text

def main():
    cases = []
    for line in EXPRESSIONS.strip().split("\n"):
        for e in line.split(" ; "):
            cases.append([e, render("{{ " + e + " }}", VALUES)])
    whole = [[t, render(t, {}, False), render(t, {}, True)] for t in TEMPLATES]
    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../model/golden/templates.json")
    json.dump({"note": f"made by tests/golden/templates.py with Jinja2 {jinja2.__version__} and Transformers {transformers.__version__}", "date": "2026-11-30", "messages": M, "special": SPECIAL, "values": VALUES, "expressions": cases, "templates": whole}, open(out, "w"), indent=0, ensure_ascii=False)
    print(len(cases), "expressions,", len(whole), "templates;", sum(c[1] is None for c in cases), "and", sum(w[2] is None for w in whole), "errors")

if __name__ == "__main__": main()
