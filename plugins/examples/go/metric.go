package main

// What wrong decisions cost, over all rows and by group.

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

const (
	invalid   = 254 // an answer that is no label
	maxCost   = 1_000_000
	maxGroups = 64
	maxSum    = 1 << 52 // with one more row it is still below 2^53, so that every language counts it exactly
)

const schema = `{"type": "object", "additionalProperties": false, "properties": {
	"costs": {"type": "array", "items": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 1000000}},
		"description": "For every gold label, by id: what each prediction costs, by id, and last what INVALID costs; 0 where it is right and 1 elsewhere unless said"},
	"groups": {"type": "integer", "minimum": 0, "maximum": 64, "description": "How many groups are told apart; 4 unless said"}}}`

type sums struct{ cost, rows uint64 }

type accumulator struct {
	costs   [][]uint32 // by gold and predicted label, INVALID last
	byGroup []sums     // the groups that are told apart, and then all others together
	all     sums
}

type value struct {
	name    string
	value   float64
	support uint64
}

func openAccumulator(text []byte, labels int) (*accumulator, *failure) {
	config := struct {
		Costs  [][]uint32 `json:"costs"`
		Groups uint32     `json:"groups"`
	}{Groups: 4}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	fail := func(format string, values ...any) (*accumulator, *failure) {
		return nil, &failure{0, "config: " + fmt.Sprintf(format, values...)}
	}
	if err := decoder.Decode(&config); err != nil {
		return fail("%s", bytes.ReplaceAll([]byte(err.Error()), []byte{'"'}, []byte{'`'}))
	}
	for _, key := range []string{"costs", "groups"} {
		var given map[string]json.RawMessage
		if json.Unmarshal(text, &given) == nil && string(given[key]) == "null" {
			return fail("`%s`: expected a value, found null", key)
		}
	}
	if config.Groups > maxGroups {
		return fail("`groups`: expected 0 to %d", maxGroups)
	}
	if config.Costs == nil {
		for gold := range labels {
			row := make([]uint32, labels+1)
			for predicted := range row {
				if predicted != gold {
					row[predicted] = 1
				}
			}
			config.Costs = append(config.Costs, row)
		}
	}
	whole := len(config.Costs) == labels
	for _, row := range config.Costs {
		whole = whole && len(row) == labels+1
	}
	if !whole {
		return fail("`costs`: expected %d rows of %d numbers", labels, labels+1)
	}
	a := &accumulator{costs: config.Costs, byGroup: make([]sums, config.Groups+1)}
	if a.high() > maxCost {
		return fail("`costs`: expected whole numbers from 0 to %d", maxCost)
	}
	return a, nil
}

func (a *accumulator) names() []string {
	names := []string{"cost", "cost_worst_group"}
	for group := range len(a.byGroup) - 1 {
		names = append(names, fmt.Sprintf("group.%d.cost", group))
	}
	return append(names, "group.other.cost")
}

func (a *accumulator) high() float64 {
	var high uint32
	for _, row := range a.costs {
		for _, cost := range row {
			high = max(high, cost)
		}
	}
	return float64(high)
}

// add adds to one group and to all.
func (a *accumulator) add(group int, more sums) *failure {
	for _, to := range []*sums{&a.byGroup[group], &a.all} {
		to.cost += more.cost
		to.rows += more.rows
	}
	if max(more.cost, more.rows, a.all.cost, a.all.rows) > maxSum {
		return &failure{1, fmt.Sprintf("the costs or weights sum up to more than %d", maxSum)}
	}
	return nil
}

func (a *accumulator) update(gold, predicted []uint8, weights, groups []uint32) *failure {
	for row, label := range gold {
		costs := a.costs[label]
		column := int(predicted[row])
		if column == invalid {
			column = len(costs) - 1
		}
		weight, group := uint64(1), 0
		if len(weights) > 0 {
			weight = uint64(weights[row])
		}
		if len(groups) > 0 {
			group = int(min(groups[row], uint32(len(a.byGroup)-1)))
		}
		if err := a.add(group, sums{uint64(costs[column]) * weight, weight}); err != nil {
			return err
		}
	}
	return nil
}

// state is eight bytes each, the lowest first: for every group cost and rows.
func (a *accumulator) state() []byte {
	var bytes []byte
	for _, sums := range a.byGroup {
		bytes = binary.LittleEndian.AppendUint64(bytes, sums.cost)
		bytes = binary.LittleEndian.AppendUint64(bytes, sums.rows)
	}
	return bytes
}

func (a *accumulator) merge(state []byte) *failure {
	if expected := 16 * len(a.byGroup); len(state) != expected {
		return &failure{1, fmt.Sprintf("state: expected %d bytes, found %d", expected, len(state))}
	}
	for group := range a.byGroup {
		cost, rows := binary.LittleEndian.Uint64(state[16*group:]), binary.LittleEndian.Uint64(state[16*group+8:])
		if err := a.add(group, sums{cost, rows}); err != nil {
			return err
		}
	}
	return nil
}

func (a *accumulator) finalize() []value {
	mean := func(sums sums) float64 {
		if sums.rows == 0 {
			return 0
		}
		return float64(sums.cost) / float64(sums.rows)
	}
	values := []value{{"cost", mean(a.all), a.all.rows}, {"cost_worst_group", 0, a.all.rows}}
	names := a.names()
	for group, sums := range a.byGroup {
		values[1].value = max(values[1].value, mean(sums))
		values = append(values, value{names[2+group], mean(sums), sums.rows})
	}
	return values
}
