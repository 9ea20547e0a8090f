// The share of rows whose prediction is right.

#include "json.h"
#include "so8t.h"

#define INVALID 254 // an answer that is no label

struct exports_so8t_plugin_measurement_accumulator_t {
    bool ignore_invalid;
    uint64_t counts[2]; // rows by weight: those that are right, and all
};

void exports_so8t_plugin_measurement_describe(so8t_plugin_types_metadata_t *out) {
    so8t_describe(out, "@NAME@", "0.1.0", "Apache-2.0",
                  "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\"ignore_invalid\": "
                  "{\"type\": \"boolean\", \"description\": \"Whether answers that are no label are left out; false unless said\"}}}");
}

bool exports_so8t_plugin_measurement_static_accumulator_open(metric_string_t *config, metric_list_string_t *labels,
                                                             exports_so8t_plugin_measurement_own_accumulator_t *out,
                                                             so8t_failure_t *err) {
    bool ignore_invalid = false, good = true;
    char key[64];
    json_t json = json_read(config->ptr, config->len);
    good = json_enter(&json, '{');
    while (good && json_next(&json)) {
        if (!json_key(&json, key, sizeof key) || strcmp(key, "ignore_invalid") != 0)
            good = so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_CONFIG, "config: unknown key `%s`: expected `ignore_invalid`", key);
        else if (!json_bool(&json, &ignore_invalid))
            good = so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_CONFIG, "config: `ignore_invalid`: expected true or false");
    }
    metric_string_free(config);
    metric_list_string_free(labels);
    if (!good) return false;

    exports_so8t_plugin_measurement_accumulator_t *self = so8t_memory(NULL, sizeof *self);
    *self = (exports_so8t_plugin_measurement_accumulator_t){ignore_invalid, {0, 0}};
    *out = exports_so8t_plugin_measurement_accumulator_new(self);
    return true;
}

void exports_so8t_plugin_measurement_accumulator_destructor(exports_so8t_plugin_measurement_accumulator_t *self) {
    free(self);
}

void exports_so8t_plugin_measurement_method_accumulator_metrics(exports_so8t_plugin_measurement_accumulator_t *self,
                                                                exports_so8t_plugin_measurement_list_metric_t *out) {
    (void)self;
    out->len = 1;
    out->ptr = so8t_memory(NULL, sizeof *out->ptr);
    *out->ptr = (exports_so8t_plugin_measurement_metric_t){
        .direction = EXPORTS_SO8T_PLUGIN_MEASUREMENT_DIRECTION_HIGHER, .low = {true, 0}, .high = {true, 1}};
    metric_string_dup(&out->ptr->name, "right");
}

exports_so8t_plugin_measurement_wants_t
exports_so8t_plugin_measurement_method_accumulator_wants(exports_so8t_plugin_measurement_accumulator_t *self) {
    (void)self;
    return EXPORTS_SO8T_PLUGIN_MEASUREMENT_WANTS_WEIGHTS; // resampling passes counts as weights
}

bool exports_so8t_plugin_measurement_method_accumulator_update(exports_so8t_plugin_measurement_accumulator_t *self,
                                                               exports_so8t_plugin_measurement_batch_t *rows,
                                                               so8t_failure_t *err) {
    (void)err; // the host has checked the columns
    for (size_t row = 0; row < rows->gold.len; row++) {
        uint8_t gold = rows->gold.ptr[row], predicted = rows->predicted.ptr[row];
        if (predicted == INVALID && self->ignore_invalid) continue;
        uint32_t weight = rows->weights.len ? rows->weights.ptr[row] : 1;
        self->counts[0] += gold == predicted ? weight : 0;
        self->counts[1] += weight;
    }
    exports_so8t_plugin_measurement_batch_free(rows);
    return true;
}

// All that was taken in: whole numbers that add, so that any sharding gives the same values. Eight bytes each, the lowest first.
void exports_so8t_plugin_measurement_method_accumulator_state(exports_so8t_plugin_measurement_accumulator_t *self,
                                                              metric_list_u8_t *out) {
    out->len = sizeof self->counts;
    out->ptr = so8t_memory(NULL, out->len);
    memcpy(out->ptr, self->counts, out->len);
}

bool exports_so8t_plugin_measurement_method_accumulator_merge(exports_so8t_plugin_measurement_accumulator_t *self,
                                                              metric_list_u8_t *state, so8t_failure_t *err) {
    uint64_t counts[2];
    size_t found = state->len;
    if (found == sizeof counts) memcpy(counts, state->ptr, sizeof counts);
    metric_list_u8_free(state);
    if (found != sizeof counts)
        return so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_INPUT, "state: expected %zu bytes, found %zu", sizeof counts, found);
    for (int i = 0; i < 2; i++) self->counts[i] += counts[i];
    return true;
}

bool exports_so8t_plugin_measurement_method_accumulator_finalize(exports_so8t_plugin_measurement_accumulator_t *self,
                                                                 exports_so8t_plugin_measurement_list_value_t *out,
                                                                 so8t_failure_t *err) {
    (void)err;
    uint64_t rows = self->counts[1];
    out->len = 1;
    out->ptr = so8t_memory(NULL, sizeof *out->ptr);
    *out->ptr = (exports_so8t_plugin_measurement_value_t){
        .value = {rows > 0, rows > 0 ? (double)self->counts[0] / (double)rows : 0}, // absent where there are no rows
        .support = rows > UINT32_MAX ? UINT32_MAX : (uint32_t)rows};
    metric_string_dup(&out->ptr->name, "right");
    return true;
}
