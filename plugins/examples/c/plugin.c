// What wrong decisions cost, over all rows and by group.

#include "json.h"
#include "so8t.h"

#define INVALID 254 // an answer that is no label
#define MAX_COST 1000000
#define MAX_GROUPS 64
#define MAX_SUM ((uint64_t)1 << 52) // with one more row it is still below 2^53, so that every language counts it exactly

typedef struct {
    uint64_t cost, rows; // by weight
} sums_t;

struct exports_so8t_plugin_measurement_accumulator_t {
    size_t labels, groups;
    uint32_t *costs; // labels rows of labels + 1: gold, predicted, INVALID last
    sums_t all, by_group[MAX_GROUPS + 1]; // the groups that are told apart, and then all others together
};

void exports_so8t_plugin_measurement_describe(so8t_plugin_types_metadata_t *out) {
    so8t_describe(out, "weighted-error", "0.1.0", "Apache-2.0",
                  "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
                  "\"costs\": {\"type\": \"array\", \"items\": {\"type\": \"array\", \"items\": {\"type\": \"integer\", "
                  "\"minimum\": 0, \"maximum\": 1000000}}, \"description\": \"For every gold label, by id: what each prediction "
                  "costs, by id, and last what INVALID costs; 0 where it is right and 1 elsewhere unless said\"}, "
                  "\"groups\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 64, "
                  "\"description\": \"How many groups are told apart; 4 unless said\"}}}");
}

// Reads `labels` rows of `labels + 1` whole numbers.
static bool read_costs(json_t *json, uint32_t *costs, size_t labels, so8t_failure_t *err) {
    size_t rows = 0;
    bool good = json_enter(json, '[');
    for (; good && json_next(json); rows++) {
        size_t columns = 0;
        good = rows < labels && json_enter(json, '[');
        for (; good && json_next(json); columns++) {
            uint64_t cost;
            if (!json_count(json, &cost) || cost > MAX_COST)
                return so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_CONFIG,
                                 "config: `costs`: expected whole numbers from 0 to %d", MAX_COST);
            good = columns <= labels;
            if (good) costs[rows * (labels + 1) + columns] = (uint32_t)cost;
        }
        good = good && columns == labels + 1;
    }
    return (good && rows == labels) ||
           so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_CONFIG, "config: `costs`: expected %zu rows of %zu numbers", labels, labels + 1);
}

bool exports_so8t_plugin_measurement_static_accumulator_open(metric_string_t *config, metric_list_string_t *labels,
                                                             exports_so8t_plugin_measurement_own_accumulator_t *out,
                                                             so8t_failure_t *err) {
    exports_so8t_plugin_measurement_accumulator_t *self = so8t_memory(NULL, sizeof *self);
    *self = (exports_so8t_plugin_measurement_accumulator_t){.labels = labels->len, .groups = 4};
    self->costs = so8t_memory(NULL, self->labels * (self->labels + 1) * sizeof *self->costs);
    for (size_t i = 0; i < self->labels * (self->labels + 1); i++)
        self->costs[i] = i / (self->labels + 1) != i % (self->labels + 1);

    char key[64];
    json_t json = json_read(config->ptr, config->len);
    bool good = json_enter(&json, '{');
    while (good && json_next(&json)) {
        uint64_t groups = MAX_GROUPS + 1;
        good = json_key(&json, key, sizeof key);
        if (good && strcmp(key, "costs") == 0)
            good = read_costs(&json, self->costs, self->labels, err);
        else if (good && strcmp(key, "groups") == 0) {
            good = (json_count(&json, &groups) && groups <= MAX_GROUPS) ||
                   so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_CONFIG, "config: `groups`: expected 0 to %d", MAX_GROUPS);
            self->groups = (size_t)groups;
        } else
            good = so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_CONFIG, "config: unknown key `%s`: expected `costs` or `groups`", key);
    }
    metric_string_free(config);
    metric_list_string_free(labels);
    if (good)
        *out = exports_so8t_plugin_measurement_accumulator_new(self);
    else
        exports_so8t_plugin_measurement_accumulator_destructor(self);
    return good;
}

void exports_so8t_plugin_measurement_accumulator_destructor(exports_so8t_plugin_measurement_accumulator_t *self) {
    free(self->costs);
    free(self);
}

// The number of values, and the name of one of them.
static size_t count_values(const exports_so8t_plugin_measurement_accumulator_t *self) {
    return 2 + self->groups + 1;
}

static void name_value(const exports_so8t_plugin_measurement_accumulator_t *self, size_t i, metric_string_t *out) {
    char name[32];
    if (i == 2 + self->groups)
        strcpy(name, "group.other.cost");
    else if (i >= 2)
        snprintf(name, sizeof name, "group.%zu.cost", i - 2);
    else
        strcpy(name, i == 0 ? "cost" : "cost_worst_group");
    metric_string_dup(out, name);
}

void exports_so8t_plugin_measurement_method_accumulator_metrics(exports_so8t_plugin_measurement_accumulator_t *self,
                                                                exports_so8t_plugin_measurement_list_metric_t *out) {
    uint32_t high = 0;
    for (size_t i = 0; i < self->labels * (self->labels + 1); i++)
        if (self->costs[i] > high) high = self->costs[i];
    out->len = count_values(self);
    out->ptr = so8t_memory(NULL, out->len * sizeof *out->ptr);
    for (size_t i = 0; i < out->len; i++) {
        out->ptr[i] = (exports_so8t_plugin_measurement_metric_t){
            .direction = EXPORTS_SO8T_PLUGIN_MEASUREMENT_DIRECTION_LOWER, .low = {true, 0}, .high = {true, high}};
        name_value(self, i, &out->ptr[i].name);
    }
}

exports_so8t_plugin_measurement_wants_t
exports_so8t_plugin_measurement_method_accumulator_wants(exports_so8t_plugin_measurement_accumulator_t *self) {
    (void)self;
    return EXPORTS_SO8T_PLUGIN_MEASUREMENT_WANTS_WEIGHTS | EXPORTS_SO8T_PLUGIN_MEASUREMENT_WANTS_GROUPS;
}

// Adds to one group and to all; false where a sum is too large.
static bool add(exports_so8t_plugin_measurement_accumulator_t *self, size_t group, sums_t more, so8t_failure_t *err) {
    sums_t *one = &self->by_group[group], *all = &self->all;
    *one = (sums_t){one->cost + more.cost, one->rows + more.rows};
    *all = (sums_t){all->cost + more.cost, all->rows + more.rows};
    return (more.cost <= MAX_SUM && more.rows <= MAX_SUM && all->cost <= MAX_SUM && all->rows <= MAX_SUM) ||
           so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_INPUT, "the costs or weights sum up to more than %llu", (unsigned long long)MAX_SUM);
}

bool exports_so8t_plugin_measurement_method_accumulator_update(exports_so8t_plugin_measurement_accumulator_t *self,
                                                               exports_so8t_plugin_measurement_batch_t *rows,
                                                               so8t_failure_t *err) {
    bool good = true;
    for (size_t row = 0; good && row < rows->gold.len; row++) {
        size_t gold = rows->gold.ptr[row], predicted = rows->predicted.ptr[row];
        if (predicted == INVALID) predicted = self->labels;
        uint64_t cost = self->costs[gold * (self->labels + 1) + predicted];
        uint64_t weight = rows->weights.len ? rows->weights.ptr[row] : 1;
        size_t group = rows->groups.len ? rows->groups.ptr[row] : 0;
        good = add(self, group < self->groups ? group : self->groups, (sums_t){cost * weight, weight}, err);
    }
    exports_so8t_plugin_measurement_batch_free(rows);
    return good;
}

// Eight bytes each, the lowest first: for every group cost and rows.
void exports_so8t_plugin_measurement_method_accumulator_state(exports_so8t_plugin_measurement_accumulator_t *self,
                                                              metric_list_u8_t *out) {
    out->len = (self->groups + 1) * sizeof *self->by_group;
    out->ptr = so8t_memory(NULL, out->len);
    memcpy(out->ptr, self->by_group, out->len);
}

bool exports_so8t_plugin_measurement_method_accumulator_merge(exports_so8t_plugin_measurement_accumulator_t *self,
                                                              metric_list_u8_t *state, so8t_failure_t *err) {
    sums_t sums[MAX_GROUPS + 1];
    size_t expected = (self->groups + 1) * sizeof *sums, found = state->len;
    if (found == expected) memcpy(sums, state->ptr, found);
    metric_list_u8_free(state);
    if (found != expected)
        return so8t_fail(err, SO8T_PLUGIN_TYPES_FAILURE_INPUT, "state: expected %zu bytes, found %zu", expected, found);
    for (size_t group = 0; group <= self->groups; group++)
        if (!add(self, group, sums[group], err)) return false;
    return true;
}

static metric_option_f64_t mean(sums_t sums) {
    return (metric_option_f64_t){sums.rows > 0, sums.rows > 0 ? (double)sums.cost / (double)sums.rows : 0};
}

bool exports_so8t_plugin_measurement_method_accumulator_finalize(exports_so8t_plugin_measurement_accumulator_t *self,
                                                                 exports_so8t_plugin_measurement_list_value_t *out,
                                                                 so8t_failure_t *err) {
    (void)err;
    metric_option_f64_t worst = {false, 0};
    for (size_t group = 0; group <= self->groups; group++) {
        metric_option_f64_t value = mean(self->by_group[group]);
        if (value.is_some && (!worst.is_some || value.val > worst.val)) worst = value;
    }
    out->len = count_values(self);
    out->ptr = so8t_memory(NULL, out->len * sizeof *out->ptr);
    for (size_t i = 0; i < out->len; i++) {
        sums_t sums = i < 2 ? self->all : self->by_group[i - 2];
        out->ptr[i] = (exports_so8t_plugin_measurement_value_t){
            .value = i == 1 ? worst : mean(sums), .support = sums.rows > UINT32_MAX ? UINT32_MAX : (uint32_t)sums.rows};
        name_value(self, i, &out->ptr[i].name);
    }
    return true;
}
