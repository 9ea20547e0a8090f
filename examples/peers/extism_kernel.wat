;; The counting kernel of a confusion matrix of four labels, for Extism: the input is the gold labels and then the predicted ones, a
;; byte each; the output is 16 counts of four bytes. The input is copied into the guest's own memory first, as Extism's PDKs do.
(module
  (import "extism:host/env" "input_length" (func $input_length (result i64)))
  (import "extism:host/env" "input_load_u8" (func $input_load_u8 (param i64) (result i32)))
  (import "extism:host/env" "input_load_u64" (func $input_load_u64 (param i64) (result i64)))
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "store_u64" (func $store_u64 (param i64 i64)))
  (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
  (memory (export "memory") 64)
  (func (export "count") (result i32)
    (local $length i32) (local $rows i32) (local $at i32) (local $cell i32) (local $out i64)
    (local.set $length (i32.wrap_i64 (call $input_length)))
    (local.set $rows (i32.shr_u (local.get $length) (i32.const 1)))
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 64))
    (loop $words
      (if (i32.le_u (i32.add (local.get $at) (i32.const 8)) (local.get $length)) (then
        (i64.store offset=64 (local.get $at) (call $input_load_u64 (i64.extend_i32_u (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $words))))
    (loop $bytes
      (if (i32.lt_u (local.get $at) (local.get $length)) (then
        (i32.store8 offset=64 (local.get $at) (call $input_load_u8 (i64.extend_i32_u (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $bytes))))
    (local.set $at (i32.const 0))
    (loop $count
      (if (i32.lt_u (local.get $at) (local.get $rows)) (then
        (local.set $cell (i32.shl (i32.add
          (i32.shl (i32.load8_u offset=64 (local.get $at)) (i32.const 2))
          (i32.load8_u offset=64 (i32.add (local.get $at) (local.get $rows)))) (i32.const 2)))
        (i32.store (local.get $cell) (i32.add (i32.load (local.get $cell)) (i32.const 1)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $count))))
    (local.set $out (call $alloc (i64.const 64)))
    (local.set $at (i32.const 0))
    (loop $store
      (call $store_u64 (i64.add (local.get $out) (i64.extend_i32_u (local.get $at))) (i64.load (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $store (i32.lt_u (local.get $at) (i32.const 64))))
    (call $output_set (local.get $out) (i64.const 64))
    (i32.const 0)))
