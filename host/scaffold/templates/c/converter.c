// One request a line: the instruction, a separator, the label.

#include "json.h"
#include "so8t.h"

#define MAX_LINE (1 << 20) // in bytes: a file without line breaks must not fill the memory

struct exports_so8t_plugin_conversion_converter_t {
    char separator[64];
    uint8_t *line; // the line that has not ended yet, or what was kept of one that is too long
    size_t length, capacity;
    bool too_long;
    uint32_t number; // of that line, counted from 1
};

// The examples and rejections of one call.
typedef struct {
    so8t_column_t instruction, label;
    uint32_t *lines;
    size_t rows, lines_capacity;
    exports_so8t_plugin_conversion_rejection_t *rejected;
    size_t rejections, rejected_capacity;
} batch_t;

void exports_so8t_plugin_conversion_describe(so8t_plugin_types_metadata_t *out) {
    so8t_describe(out, "@NAME@", "0.1.0", "Apache-2.0",
                  "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"separator\": {\"type\": \"string\", "
                  "\"minLength\": 1, \"description\": \"Between instruction and label; a tab unless said\"}}}");
}

bool exports_so8t_plugin_conversion_static_converter_open(converter_string_t *config,
                                                          exports_so8t_plugin_conversion_own_converter_t *out,
                                                          so8t_failure_t *err) {
    char separator[64] = "\t", key[64];
    json_t json = json_read(config->ptr, config->len);
    bool good = json_enter(&json, '{');
    while (good && json_next(&json)) {
        if (!json_key(&json, key, sizeof key) || strcmp(key, "separator") != 0)
            good = so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_CONFIG, "config: unknown key `%s`: expected `separator`", key);
        else if (!json_string(&json, separator, sizeof separator) || !*separator || strchr(separator, '\n'))
            good = so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_CONFIG, "config: `separator`: expected a short text without line breaks");
    }
    converter_string_free(config);
    if (!good) return false;

    exports_so8t_plugin_conversion_converter_t *self = so8t_memory(NULL, sizeof *self);
    *self = (exports_so8t_plugin_conversion_converter_t){.number = 1};
    strcpy(self->separator, separator);
    *out = exports_so8t_plugin_conversion_converter_new(self);
    return true;
}

void exports_so8t_plugin_conversion_converter_destructor(exports_so8t_plugin_conversion_converter_t *self) {
    free(self->line);
    free(self);
}

static void reject(batch_t *batch, uint32_t line, const char *reason) {
    so8t_reserve(batch->rejected, batch->rejections, 1, batch->rejected_capacity);
    exports_so8t_plugin_conversion_rejection_t *rejection = &batch->rejected[batch->rejections++];
    rejection->line = line;
    converter_string_dup(&rejection->reason, reason);
}

static bool is_blank(const uint8_t *text, size_t length) {
    while (length && strchr(" \t\r", text[length - 1])) length--;
    return length == 0;
}

// Reads the line that has ended, and begins the next.
static void end_line(exports_so8t_plugin_conversion_converter_t *self, batch_t *batch) {
    size_t length = self->length, width = strlen(self->separator), at = 0;
    if (length && self->line[length - 1] == '\r') length--;
    while (at + width <= length && memcmp(self->line + at, self->separator, width) != 0) at++;

    if (self->too_long)
        reject(batch, self->number, "the line has more than 1048576 bytes");
    else if (!so8t_is_utf8(self->line, length))
        reject(batch, self->number, "the line is not UTF-8");
    else if (length && at + width > length)
        reject(batch, self->number, "there is no separator: expected an instruction, a separator and a label");
    else if (length && is_blank(self->line, at))
        reject(batch, self->number, "the instruction is empty");
    else if (length) {
        so8t_add(&batch->instruction, self->line, at);
        so8t_add(&batch->label, self->line + at + width, length - at - width);
        so8t_reserve(batch->lines, batch->rows, 1, batch->lines_capacity);
        batch->lines[batch->rows++] = self->number;
    }
    self->length = 0;
    self->too_long = false;
    self->number++;
}

static void give(batch_t *batch, exports_so8t_plugin_conversion_batch_t *out) {
    *out = (exports_so8t_plugin_conversion_batch_t){ // columns that are lacking are empty
        .examples = {.instruction = batch->instruction.texts, .label = batch->label.texts},
        .lines = {batch->lines, batch->rows},
        .rejected = {batch->rejected, batch->rejections}};
}

bool exports_so8t_plugin_conversion_method_converter_push(exports_so8t_plugin_conversion_converter_t *self,
                                                          converter_list_u8_t *chunk,
                                                          exports_so8t_plugin_conversion_batch_t *out, so8t_failure_t *err) {
    (void)err;
    batch_t batch = {0};
    // A chunk may end anywhere, even within a character: only whole lines are read.
    for (uint8_t *at = chunk->ptr, *end = at + chunk->len; at < end;) {
        uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - at);
        self->too_long |= self->length + length > MAX_LINE;
        if (!self->too_long) {
            so8t_reserve(self->line, self->length, length, self->capacity);
            if (length) memcpy(self->line + self->length, at, length);
            self->length += length;
        }
        if (!stop) break;
        end_line(self, &batch);
        at = stop + 1;
    }
    converter_list_u8_free(chunk);
    give(&batch, out);
    return true;
}

bool exports_so8t_plugin_conversion_method_converter_finish(exports_so8t_plugin_conversion_converter_t *self,
                                                            exports_so8t_plugin_conversion_batch_t *out, so8t_failure_t *err) {
    (void)err;
    batch_t batch = {0};
    end_line(self, &batch);
    give(&batch, out);
    return true;
}
