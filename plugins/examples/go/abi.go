package main

// The component model's canonical ABI for the world `metric`, by hand: what lies where when a function of the interface is
// called. The metric itself stands in metric.go.

import (
	"math"
	"unsafe"
)

// What the host wrote for the present call, and what it has yet to read of the last: neither may be collected.
var arguments, results [][]uint64

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	if size == 0 {
		return unsafe.Pointer(uintptr(align))
	}
	words := make([]uint64, (size+7)/8) // aligned to eight bytes, which is enough for every type
	if old != nil {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), size), unsafe.Slice((*byte)(old), oldSize))
	}
	arguments = append(arguments, words)
	return unsafe.Pointer(&words[0])
}

// block is memory that the host reads when the call has returned.
type block struct{ start unsafe.Pointer }

func newBlock(size int) block {
	words := make([]uint64, size/8+1)
	results = append(results, words)
	return block{unsafe.Pointer(&words[0])}
}

func (b block) at(offset int) unsafe.Pointer    { return unsafe.Add(b.start, offset) }
func (b block) u8(offset int, value uint8)      { *(*uint8)(b.at(offset)) = value }
func (b block) u32(offset int, value uint32)    { *(*uint32)(b.at(offset)) = value }
func (b block) f64(offset int, value float64)   { *(*uint64)(b.at(offset)) = math.Float64bits(value) }
func (b block) pointer(offset int, other block) { b.u32(offset, uint32(uintptr(other.start))) }

func (b block) bytes(offset int, value []byte) {
	copied := newBlock(len(value))
	copy(unsafe.Slice((*byte)(copied.start), len(value)), value)
	b.pointer(offset, copied)
	b.u32(offset+4, uint32(len(value)))
}

// begin is called first in every exported function, and the function that it returns last.
func begin() func() {
	results = results[:0]
	return func() { arguments = arguments[:0] }
}

func list[T any](start unsafe.Pointer, length uint32) []T { return unsafe.Slice((*T)(start), length) }

// failure is why a call does not succeed: 0 the configuration, 1 the input, 2 the plugin.
type failure struct {
	kind uint8
	text string
}

// outcome is `result<_, failure>`, or of any payload of at most four bytes' alignment at offset 4.
func outcome(err *failure) block {
	b := newBlock(16)
	if err != nil {
		b.u8(0, 1)
		b.u8(4, err.kind)
		b.bytes(8, []byte(err.text))
	}
	return b
}

//go:wasmimport [export]so8t:plugin/measurement@0.1.0 [resource-new]accumulator
func resourceNew(representation uint32) uint32

//go:wasmimport so8t:plugin/log@0.1.0 log
func hostLog(level uint32, text unsafe.Pointer, length uint32)

// Open measurements by representation; 0 stands for none.
var open = []*accumulator{nil}

//go:wasmexport so8t:plugin/measurement@0.1.0#[dtor]accumulator
func exportDrop(self uint32) { open[self] = nil }

//go:wasmexport so8t:plugin/measurement@0.1.0#describe
func exportDescribe() unsafe.Pointer {
	defer begin()()
	b := newBlock(32)
	for i, text := range []string{"weighted-error", "0.1.0", "Apache-2.0", schema} {
		b.bytes(8*i, []byte(text))
	}
	return b.start
}

//go:wasmexport so8t:plugin/measurement@0.1.0#[static]accumulator.open
func exportOpen(config unsafe.Pointer, configLength uint32, labels unsafe.Pointer, labelCount uint32) unsafe.Pointer {
	defer begin()()
	opened, err := openAccumulator(list[byte](config, configLength), int(labelCount))
	b := outcome(err)
	if err == nil {
		open = append(open, opened)
		b.u32(4, resourceNew(uint32(len(open)-1)))
	}
	return b.start
}

//go:wasmexport so8t:plugin/measurement@0.1.0#[method]accumulator.metrics
func exportMetrics(self uint32) unsafe.Pointer {
	defer begin()()
	a := open[self]
	names := a.names()
	rows := newBlock(48 * len(names))
	for i, name := range names {
		rows.bytes(48*i, []byte(name))
		rows.u8(48*i+8, 1)  // lower is better
		rows.u8(48*i+16, 1) // there is a least value: 0
		rows.u8(48*i+32, 1) // and a greatest
		rows.f64(48*i+40, a.high())
	}
	b := newBlock(8)
	b.pointer(0, rows)
	b.u32(4, uint32(len(names)))
	return b.start
}

//go:wasmexport so8t:plugin/measurement@0.1.0#[method]accumulator.wants
func exportWants(self uint32) uint32 {
	return 2 | 4 // weights and groups
}

//go:wasmexport so8t:plugin/measurement@0.1.0#[method]accumulator.update
func exportUpdate(self uint32, gold unsafe.Pointer, goldLength uint32, predicted unsafe.Pointer, predictedLength uint32,
	scores unsafe.Pointer, scoresLength uint32, weights unsafe.Pointer, weightsLength uint32,
	groups unsafe.Pointer, groupsLength uint32, text unsafe.Pointer, textLength uint32,
	offsets unsafe.Pointer, offsetsLength uint32) unsafe.Pointer {
	defer begin()()
	return outcome(open[self].update(list[uint8](gold, goldLength), list[uint8](predicted, predictedLength),
		list[uint32](weights, weightsLength), list[uint32](groups, groupsLength))).start
}

//go:wasmexport so8t:plugin/measurement@0.1.0#[method]accumulator.state
func exportState(self uint32) unsafe.Pointer {
	defer begin()()
	b := newBlock(8)
	b.bytes(0, open[self].state())
	return b.start
}

//go:wasmexport so8t:plugin/measurement@0.1.0#[method]accumulator.merge
func exportMerge(self uint32, state unsafe.Pointer, length uint32) unsafe.Pointer {
	defer begin()()
	return outcome(open[self].merge(list[byte](state, length))).start
}

//go:wasmexport so8t:plugin/measurement@0.1.0#[method]accumulator.finalize
func exportFinalize(self uint32) unsafe.Pointer {
	defer begin()()
	values := open[self].finalize()
	rows := newBlock(32 * len(values))
	for i, value := range values {
		rows.bytes(32*i, []byte(value.name))
		if value.support > 0 {
			rows.u8(32*i+8, 1)
			rows.f64(32*i+16, value.value)
		}
		rows.u32(32*i+24, uint32(min(value.support, math.MaxUint32)))
	}
	b := newBlock(16)
	b.pointer(4, rows)
	b.u32(8, uint32(len(values)))
	return b.start
}

func main() {}
