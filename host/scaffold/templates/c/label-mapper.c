// The names of the four decisions in any case, and further spellings that the configuration gives.

#include <strings.h>

#include "json.h"
#include "so8t.h"

#define LABELS 4
#define REJECTED 255

static const char *const NAMES[LABELS] = {"ALLOW", "ESCALATION", "DENY", "REFUSE"}; // each graver than the one before

// What a rejected row's code stands for.
static const char *const REASONS[] = {"there is no label", "the label is neither a decision nor an alias of one"};

typedef struct {
    char spelling[200];
    uint8_t id;
} alias_t;

struct exports_so8t_plugin_mapping_mapper_t {
    alias_t *aliases;
    size_t count, capacity;
};

void exports_so8t_plugin_mapping_describe(so8t_plugin_types_metadata_t *out) {
    so8t_describe(out, "@NAME@", "0.1.0", "Apache-2.0",
                  "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"aliases\": {\"type\": \"object\", "
                  "\"additionalProperties\": {\"enum\": [\"ALLOW\", \"ESCALATION\", \"DENY\", \"REFUSE\"]}, "
                  "\"description\": \"Further spellings, in any case, and the decision that each stands for\"}}}");
}

// The id of a label's name, or LABELS.
static uint8_t find(const char *name) {
    uint8_t id = 0;
    while (id < LABELS && strcmp(name, NAMES[id]) != 0) id++;
    return id;
}

static bool read_aliases(json_t *json, exports_so8t_plugin_mapping_mapper_t *self, so8t_failure_t *err) {
    char name[200];
    if (!json_enter(json, '{'))
        return so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_CONFIG, "config: `aliases`: expected a table");
    while (json_next(json)) {
        so8t_reserve(self->aliases, self->count, 1, self->capacity);
        alias_t *alias = &self->aliases[self->count++];
        if (!json_key(json, alias->spelling, sizeof alias->spelling))
            return so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_CONFIG, "config: `aliases`: expected spellings of less than 196 bytes");
        if (!json_string(json, name, sizeof name) || (alias->id = find(name)) == LABELS)
            return so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_CONFIG,
                             "config: `aliases.%s`: expected one of `ALLOW`, `ESCALATION`, `DENY`, `REFUSE`", alias->spelling);
    }
    return true;
}

bool exports_so8t_plugin_mapping_static_mapper_open(label_mapper_string_t *config,
                                                    exports_so8t_plugin_mapping_own_mapper_t *out, so8t_failure_t *err) {
    exports_so8t_plugin_mapping_mapper_t *self = so8t_memory(NULL, sizeof *self);
    *self = (exports_so8t_plugin_mapping_mapper_t){0};
    char key[64];
    json_t json = json_read(config->ptr, config->len);
    bool good = json_enter(&json, '{');
    while (good && json_next(&json)) {
        if (!json_key(&json, key, sizeof key) || strcmp(key, "aliases") != 0)
            good = so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_CONFIG, "config: unknown key `%s`: expected `aliases`", key);
        else
            good = read_aliases(&json, self, err);
    }
    label_mapper_string_free(config);
    if (!good) {
        free(self->aliases);
        free(self);
        return false;
    }
    *out = exports_so8t_plugin_mapping_mapper_new(self);
    return true;
}

void exports_so8t_plugin_mapping_mapper_destructor(exports_so8t_plugin_mapping_mapper_t *self) {
    free(self->aliases);
    free(self);
}

void exports_so8t_plugin_mapping_method_mapper_labels(exports_so8t_plugin_mapping_mapper_t *self,
                                                      exports_so8t_plugin_mapping_label_set_t *out) {
    (void)self;
    out->names.ptr = so8t_memory(NULL, LABELS * sizeof *out->names.ptr);
    out->severity.ptr = so8t_memory(NULL, LABELS);
    out->names.len = out->severity.len = LABELS;
    for (uint8_t id = 0; id < LABELS; id++) {
        label_mapper_string_dup(&out->names.ptr[id], NAMES[id]);
        out->severity.ptr[id] = id;
    }
}

// The id of a label as the source spells it, or REJECTED.
static uint8_t assign(const exports_so8t_plugin_mapping_mapper_t *self, const char *label, size_t length) {
    for (uint8_t id = 0; id < LABELS; id++)
        if (strlen(NAMES[id]) == length && strncasecmp(label, NAMES[id], length) == 0) return id;
    for (size_t i = 0; i < self->count; i++) {
        const alias_t *alias = &self->aliases[i];
        if (strlen(alias->spelling) == length && strncasecmp(label, alias->spelling, length) == 0) return alias->id;
    }
    return REJECTED; // never a default
}

bool exports_so8t_plugin_mapping_method_mapper_assign(exports_so8t_plugin_mapping_mapper_t *self,
                                                      exports_so8t_plugin_mapping_examples_t *rows,
                                                      exports_so8t_plugin_mapping_mapped_t *out, so8t_failure_t *err) {
    (void)err; // the host has checked the columns
    size_t count = so8t_rows(&rows->instruction);
    out->ids.len = out->code.len = count;
    out->ids.ptr = so8t_memory(NULL, count);
    out->code.ptr = so8t_memory(NULL, count);
    for (size_t row = 0; row < count; row++) {
        size_t length;
        const char *label = so8t_row(&rows->label, row, &length);
        out->ids.ptr[row] = assign(self, label, length);
        out->code.ptr[row] = out->ids.ptr[row] == REJECTED && length > 0; // an index into the reasons, for a rejected row
    }
    out->reasons.len = sizeof REASONS / sizeof *REASONS;
    out->reasons.ptr = so8t_memory(NULL, out->reasons.len * sizeof *out->reasons.ptr);
    for (size_t i = 0; i < out->reasons.len; i++) label_mapper_string_dup(&out->reasons.ptr[i], REASONS[i]);
    exports_so8t_plugin_mapping_examples_free(rows);
    return true;
}
