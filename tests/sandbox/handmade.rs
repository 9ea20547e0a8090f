//! Converters written by hand as WebAssembly text: for what no compiler would give.

/// A converter whose parts can be made wrong.
pub(crate) struct Handmade {
    /// The pages of 64 KiB that its memory begins with.
    pub pages: u32,
    /// More fields of its core module.
    pub fields: &'static str,
    /// What `describe` does before it returns.
    pub describe: &'static str,
    /// What the guest does when the host asks it for room for a text.
    pub realloc: &'static str,
    /// What the guest does after the host has read what `describe` returned.
    pub post_return: &'static str,
    pub name: &'static str,
    pub version: &'static str,
    pub schema: &'static str,
    /// More imports of the component.
    pub imports: &'static str,
    /// More exports of the component.
    pub exports: &'static str,
}

impl Default for Handmade {
    fn default() -> Self {
        Self {
            pages: 1,
            fields: "",
            describe: "",
            realloc: "",
            post_return: "",
            name: "handmade",
            version: "1.2.3",
            schema: "{}",
            imports: "",
            exports: "",
        }
    }
}

impl Handmade {
    /// The component's bytes.
    pub(crate) fn build(&self) -> Vec<u8> {
        let Self { pages, fields, describe, realloc, post_return, imports, exports, .. } = self;
        let (texts, table) = self.metadata();
        let text = format!(
            r#"(component
  (type $interface-types (instance
    (type $m (record (field "name" string) (field "version" string) (field "licence" string) (field "config-schema" string)))
    (export "metadata" (type (eq $m)))
    (type $f (variant (case "config" string) (case "input" string) (case "internal" string)))
    (export "failure" (type (eq $f)))
    (type $t (record (field "bytes" (list u8)) (field "offsets" (list u32))))
    (export "texts" (type $texts (eq $t)))
    (type $e (record (field "id" $texts) (field "instruction" $texts) (field "input" $texts) (field "output" $texts)
      (field "label" $texts) (field "group" $texts) (field "extra-json" $texts)))
    (export "examples" (type (eq $e)))))
  (import "so8t:plugin/types@0.1.0" (instance $types (type $interface-types)))
  (alias export $types "metadata" (type $metadata))
  (alias export $types "failure" (type $failure))
  (alias export $types "texts" (type $texts))
  (alias export $types "examples" (type $examples))
  (type $interface-log (instance
    (type $l (enum "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $l)))
    (export "log" (func (param "level" $level) (param "message" string)))))
  (import "so8t:plugin/log@0.1.0" (instance $log (type $interface-log)))
  {imports}
  (core module $memory
    (memory (export "memory") {pages}))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $bytes))
  (alias export $log "log" (func $log-function))
  (core func $log-core (canon lower (func $log-function) (memory $bytes)))
  (core module $main
    (import "" "log" (func $log (param i32 i32 i32)))
    (import "" "memory" (memory 0))
    (data (i32.const 64) "{table}")
    (data (i32.const 128) "{texts}")
    (func (export "describe") (result i32) {describe} i32.const 64)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc} i32.const 4096)
    (func (export "leave") (param i32) {post_return})
    (func (export "open") (param i32 i32) (result i32) unreachable)
    (func (export "push") (param i32 i32 i32) (result i32) unreachable)
    (func (export "finish") (param i32) (result i32) unreachable)
    {fields})
  (core instance $main (instantiate $main
    (with "" (instance (export "log" (func $log-core)) (export "memory" (memory $bytes))))))
  (alias core export $main "realloc" (core func $realloc))
  (alias core export $main "leave" (core func $leave))
  (alias core export $main "describe" (core func $core-describe))
  (alias core export $main "open" (core func $core-open))
  (alias core export $main "push" (core func $core-push))
  (alias core export $main "finish" (core func $core-finish))
  (type $converter (resource (rep i32)))
  (type $rejection (record (field "line" u32) (field "reason" string)))
  (type $batch (record (field "examples" $examples) (field "lines" (list u32)) (field "rejected" (list $rejection))))
  (func $describe (result $metadata) (canon lift (core func $core-describe) (memory $bytes) (post-return (core func $leave))))
  (func $open (param "config" string) (result (result (own $converter) (error $failure)))
    (canon lift (core func $core-open) (memory $bytes) (realloc $realloc)))
  (func $push (param "self" (borrow $converter)) (param "chunk" (list u8)) (result (result $batch (error $failure)))
    (canon lift (core func $core-push) (memory $bytes) (realloc $realloc)))
  (func $finish (param "self" (borrow $converter)) (result (result $batch (error $failure)))
    (canon lift (core func $core-finish) (memory $bytes) (realloc $realloc)))
  ;; Methods of a resource can only be exported by a component that knows the resource by its name.
  (component $shim
    (type $m (record (field "name" string) (field "version" string) (field "licence" string) (field "config-schema" string)))
    (import "type-metadata" (type $metadata (eq $m)))
    (type $f (variant (case "config" string) (case "input" string) (case "internal" string)))
    (import "type-failure" (type $failure (eq $f)))
    (type $t (record (field "bytes" (list u8)) (field "offsets" (list u32))))
    (import "type-texts" (type $texts (eq $t)))
    (import "type-converter" (type $converter (sub resource)))
    (type $e (record (field "id" $texts) (field "instruction" $texts) (field "input" $texts) (field "output" $texts)
      (field "label" $texts) (field "group" $texts) (field "extra-json" $texts)))
    (import "type-examples" (type $examples (eq $e)))
    (type $r (record (field "line" u32) (field "reason" string)))
    (import "type-rejection" (type $rejection (eq $r)))
    (type $b (record (field "examples" $examples) (field "lines" (list u32)) (field "rejected" (list $rejection))))
    (import "type-batch" (type $batch (eq $b)))
    (import "function-describe" (func $describe (result $metadata)))
    (import "function-open" (func $open (param "config" string) (result (result (own $converter) (error $failure)))))
    (import "function-push" (func $push (param "self" (borrow $converter)) (param "chunk" (list u8))
      (result (result $batch (error $failure)))))
    (import "function-finish" (func $finish (param "self" (borrow $converter)) (result (result $batch (error $failure)))))
    (export $converter-out "converter" (type $converter))
    (export $examples-out "examples" (type $examples))
    (export $rejection-out "rejection" (type $rejection))
    (type $c (record (field "examples" $examples-out) (field "lines" (list u32)) (field "rejected" (list $rejection-out))))
    (export $batch-out "batch" (type $batch) (type (eq $c)))
    (export "describe" (func $describe))
    (export "[static]converter.open" (func $open)
      (func (param "config" string) (result (result (own $converter-out) (error $failure)))))
    (export "[method]converter.push" (func $push)
      (func (param "self" (borrow $converter-out)) (param "chunk" (list u8)) (result (result $batch-out (error $failure)))))
    (export "[method]converter.finish" (func $finish)
      (func (param "self" (borrow $converter-out)) (result (result $batch-out (error $failure))))))
  (instance $conversion (instantiate $shim
    (with "type-metadata" (type $metadata)) (with "type-failure" (type $failure)) (with "type-texts" (type $texts))
    (with "type-converter" (type $converter)) (with "type-examples" (type $examples))
    (with "type-rejection" (type $rejection)) (with "type-batch" (type $batch))
    (with "function-describe" (func $describe)) (with "function-open" (func $open))
    (with "function-push" (func $push)) (with "function-finish" (func $finish))))
  (export "so8t:plugin/conversion@0.1.0" (instance $conversion))
  {exports})"#
        );
        wat::parse_str(&text).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The strings of the metadata, and the record that points to them, as WebAssembly text.
    fn metadata(&self) -> (String, String) {
        let mut texts = Vec::new();
        let mut table = Vec::new();
        for text in [self.name, self.version, "Apache-2.0", self.schema] {
            table.extend((128 + texts.len() as u32).to_le_bytes());
            table.extend((text.len() as u32).to_le_bytes());
            texts.extend(text.as_bytes());
        }
        let escaped = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        (escaped(texts), escaped(table))
    }
}
