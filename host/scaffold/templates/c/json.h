// Reads JSON from its first byte to its last, without allocating: what a configuration needs.
//
// The host hands over JSON that is valid; a value of another type than is asked for makes a function return false.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const char *at, *end;
    bool first; // of an object or array that was just entered
} json_t;

static inline json_t json_read(const void *text, size_t length) {
    return (json_t){text, (const char *)text + length, true};
}

// The next character that is no space, or 0.
static inline char json_peek(json_t *json) {
    while (json->at < json->end && strchr(" \t\r\n", *json->at)) json->at++;
    return json->at < json->end ? *json->at : 0;
}

static inline bool json_take(json_t *json, char expected) {
    if (json_peek(json) != expected) return false;
    json->at++;
    return true;
}

// Enters `{` or `[`. Then json_next, and json_key in an object, until json_next finds the end.
static inline bool json_enter(json_t *json, char bracket) {
    json->first = true;
    return json_take(json, bracket);
}

// Whether there is another entry before `}` or `]`, which is passed.
static inline bool json_next(json_t *json) {
    char next = json_peek(json);
    bool ended = next == '}' || next == ']' || next == 0;
    if (ended || (!json->first && next == ',')) json->at += next != 0;
    json->first = false;
    return !ended;
}

static inline char *json_utf8(char *out, uint32_t c) {
    if (c < 0x80) return *out++ = (char)c, out;
    if (c < 0x800) return *out++ = (char)(0xc0 | c >> 6), *out++ = (char)(0x80 | (c & 63)), out;
    if (c >= 0x10000) *out++ = (char)(0xf0 | c >> 18), *out++ = (char)(0x80 | (c >> 12 & 63));
    else *out++ = (char)(0xe0 | c >> 12);
    return *out++ = (char)(0x80 | (c >> 6 & 63)), *out++ = (char)(0x80 | (c & 63)), out;
}

static inline uint32_t json_hex(const char *digits) {
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) code = code << 4 | (uint32_t)(digits[i] <= '9' ? digits[i] - '0' : (digits[i] | 32) - 'a' + 10);
    return code;
}

// A string, with a closing zero; false where it is none, or has more than `size - 1` bytes.
static inline bool json_string(json_t *json, char *out, size_t size) {
    if (!json_take(json, '"')) return false;
    char *start = out;
    while (json->at < json->end && *json->at != '"') {
        if ((size_t)(out - start) + 5 > size) return false;
        char c = *json->at++;
        if (c != '\\') { *out++ = c; continue; }
        c = *json->at++;
        const char *escape = strchr("n\nt\tr\rb\bf\f", c);
        if (c == 'u') {
            uint32_t code = json_hex(json->at);
            json->at += 4;
            if (code >= 0xd800 && code < 0xdc00 && json->at + 6 <= json->end) { // the first half of a pair
                code = 0x10000 + ((code - 0xd800) << 10) + (json_hex(json->at + 2) - 0xdc00);
                json->at += 6;
            }
            out = json_utf8(out, code);
        } else {
            *out++ = escape ? escape[1] : c;
        }
    }
    *out = 0;
    return json_take(json, '"');
}

static inline bool json_key(json_t *json, char *out, size_t size) {
    return json_string(json, out, size) && json_take(json, ':');
}

static inline bool json_bool(json_t *json, bool *out) {
    char first = json_peek(json);
    if (first != 't' && first != 'f') return false;
    *out = first == 't';
    json->at += *out ? 4 : 5;
    return true;
}

// A whole number from 0 to 2^53.
static inline bool json_count(json_t *json, uint64_t *out) {
    char first = json_peek(json);
    if (first < '0' || first > '9') return false;
    for (*out = 0; json->at < json->end && *json->at >= '0' && *json->at <= '9'; json->at++) {
        *out = *out * 10 + (uint64_t)(*json->at - '0');
        if (*out > (uint64_t)1 << 53) return false;
    }
    return json->at == json->end || !strchr(".eE", *json->at);
}

#endif
