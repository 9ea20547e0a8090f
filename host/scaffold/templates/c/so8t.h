// What plugins of so8t written in C share: failures, strings, text columns, log lines. Nothing here needs to be changed.
//
// What an export gets is its own to free, with the function that the bindings have for the type; what it returns is the
// host's, and must come from malloc.
#ifndef SO8T_H
#define SO8T_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "@WORLD@.h"

typedef so8t_plugin_types_failure_t so8t_failure_t;

// A plugin has no files. snprintf links functions that would flush them, were there any: these stand in for WASI's, which the
// host does not have, and are never called.
#define SO8T_NO_WASI(name, ...) \
    __attribute__((weak)) int32_t __imported_wasi_snapshot_preview1_##name(__VA_ARGS__) { __builtin_trap(); }
SO8T_NO_WASI(fd_close, int32_t)
SO8T_NO_WASI(fd_seek, int32_t, int64_t, int32_t, int32_t)
SO8T_NO_WASI(fd_write, int32_t, int32_t, int32_t, int32_t)
SO8T_NO_WASI(fd_fdstat_get, int32_t, int32_t)

// Memory, or a trap that the host reports.
static inline void *so8t_memory(void *old, size_t bytes) {
    void *memory = realloc(old, bytes ? bytes : 1);
    if (!memory) __builtin_trap();
    return memory;
}

static inline void so8t_format(@WORLD@_string_t *out, const char *format, va_list arguments) {
    char text[500];
    vsnprintf(text, sizeof text, format, arguments);
    @WORLD@_string_dup(out, text);
}

// Why a call does not succeed; `kind` is SO8T_PLUGIN_TYPES_FAILURE_CONFIG, …_INPUT or …_INTERNAL. Returns false, so that an
// export can end with `return so8t_fail(…)`.
__attribute__((format(printf, 3, 4)))
static inline bool so8t_fail(so8t_failure_t *failure, uint8_t kind, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    failure->tag = kind;
    so8t_format(&failure->val.config, format, arguments);
    va_end(arguments);
    return false;
}

// A line in the run's log, under the plugin's name; `level` is SO8T_PLUGIN_LOG_LEVEL_DEBUG, …_INFO, …_WARN or …_ERROR.
__attribute__((format(printf, 2, 3)))
static inline void so8t_log(uint8_t level, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    @WORLD@_string_t text;
    so8t_format(&text, format, arguments);
    va_end(arguments);
    so8t_plugin_log_log(level, &text);
    @WORLD@_string_free(&text);
}

static inline void so8t_describe(so8t_plugin_types_metadata_t *out, const char *name, const char *version,
                                 const char *licence, const char *config_schema) {
    @WORLD@_string_dup(&out->name, name);
    @WORLD@_string_dup(&out->version, version);
    @WORLD@_string_dup(&out->licence, licence);
    @WORLD@_string_dup(&out->config_schema, config_schema);
}

// The number of rows of a text column.
static inline size_t so8t_rows(const so8t_plugin_types_texts_t *texts) {
    return texts->offsets.len ? texts->offsets.len - 1 : 0;
}

// Row `row` of a text column, and its length in bytes; empty where the column is lacking.
static inline const char *so8t_row(const so8t_plugin_types_texts_t *texts, size_t row, size_t *length) {
    if (row + 1 >= texts->offsets.len) return *length = 0, "";
    *length = texts->offsets.ptr[row + 1] - texts->offsets.ptr[row];
    return (const char *)texts->bytes.ptr + texts->offsets.ptr[row];
}

// A list that grows: its pointer, its length and its capacity, in items.
#define so8t_reserve(pointer, length, more, capacity)                                                 \
    do {                                                                                              \
        if ((length) + (more) > (capacity)) {                                                         \
            (capacity) = 2 * ((length) + (more)) + 16;                                                \
            (pointer) = so8t_memory((pointer), (capacity) * sizeof *(pointer));                       \
        }                                                                                             \
    } while (0)

// A text column under construction.
typedef struct {
    so8t_plugin_types_texts_t texts;
    size_t bytes_capacity, offsets_capacity;
} so8t_column_t;

static inline void so8t_add(so8t_column_t *column, const void *text, size_t length) {
    so8t_plugin_types_texts_t *texts = &column->texts;
    so8t_reserve(texts->offsets.ptr, texts->offsets.len, 2, column->offsets_capacity);
    if (texts->offsets.len == 0) texts->offsets.ptr[texts->offsets.len++] = 0;
    so8t_reserve(texts->bytes.ptr, texts->bytes.len, length, column->bytes_capacity);
    if (length) memcpy(texts->bytes.ptr + texts->bytes.len, text, length);
    texts->bytes.len += length;
    texts->offsets.ptr[texts->offsets.len++] = (uint32_t)texts->bytes.len;
}

// Whether these bytes are UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
static inline bool so8t_is_utf8(const void *text, size_t length) {
    const uint8_t *at = text, *end = at + length;
    while (at < end) {
        uint8_t first = *at++;
        if (first < 0x80) continue;
        int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || end - at < more) return false;
        uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        if (*at < low || *at > high) return false;
        for (at++; --more; at++)
            if ((*at & 0xc0) != 0x80) return false;
    }
    return true;
}

#endif
