//! Sizes, offsets, types and constants of the UAPI header, as the compiler sees them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use syn::{Expr, Fields, Item, Lit, Type, UnOp};

use super::diff;
use crate::cache::write_atomic;
use crate::command::{command, stdout};
use crate::context::Context;

/// What bindgen calls a member or a type without a name.
const ANONYMOUS_FIELD: &str = "__bindgen_anon_";
const ANONYMOUS_TYPE: &str = "__bindgen_ty_";
/// The enumeration that asks the compiler for offsets.
const LAYOUT: &str = "kevent_layout";

pub fn facts(ctx: &Context) -> Result<Vec<String>> {
    let include = ctx.repo.join("linux/include/uapi");
    let mut all = Vec::new();
    for target in ctx.arch.programs() {
        all.push((*target, of_header(ctx, &include, target)?));
    }
    let (_, own) = all.swap_remove(0);
    for (target, facts) in &all {
        // Alignment may be less for other programs: they only have to agree on the bytes.
        let bytes = |facts: &[String]| -> String {
            let lines = facts.iter().filter(|fact| !fact.starts_with("align "));
            lines.map(|fact| format!("{fact}\n")).collect()
        };
        if let Some(diff) = diff(&bytes(&own), &bytes(facts)) {
            bail!("programs of {target} see another layout:\n{diff}");
        }
    }
    Ok(own)
}

fn of_header(ctx: &Context, include: &Path, target: &str) -> Result<Vec<String>> {
    let header = include.join("linux/kevent.h");
    let bindings = Bindings::parse(&bindgen(ctx, &header, include, target)?)?;
    let fields = bindings.fields()?;
    let question = ctx.cache.join("abi").join(format!("{target}.h"));
    write_atomic(&question, ask_offsets(&fields))?;
    let answer = Bindings::parse(&bindgen(ctx, &question, include, target)?)?;
    bindings.facts(&fields, &answer)
}

fn bindgen(ctx: &Context, header: &Path, include: &Path, target: &str) -> Result<String> {
    let tools = ctx.tools();
    // The other targets' headers are not installed, and are the same.
    let multiarch = stdout(command(tools.gcc()?).arg("-print-multiarch"))?;
    let mut bindgen = command(tools.bindgen()?);
    bindgen.env("LIBCLANG_PATH", &tools.llvm()?.lib);
    bindgen.env_remove("BINDGEN_EXTRA_CLANG_ARGS");
    bindgen.arg(header);
    bindgen.args([
        "--allowlist-file",
        ".*/linux/kevent[.]h",
        "--allowlist-type",
        LAYOUT,
    ]);
    bindgen.args(["--no-prepend-enum-name", "--"]);
    bindgen
        .arg(format!("--target={target}"))
        .arg("-I")
        .arg(include);
    bindgen.args(["-idirafter", &format!("/usr/include/{multiarch}")]);
    stdout(&mut bindgen)
}

/// A header with an enumerator for each field, whose value is its offset: the compiler looks
/// through members without a name, which bindgen's own assertions do not.
fn ask_offsets(fields: &[Field]) -> String {
    let mut text = format!("#include <linux/kevent.h>\nenum {LAYOUT} {{\n");
    for field in fields {
        let Field { of, name, .. } = field;
        let enumerator = field.enumerator();
        text.push_str(&format!(
            "\t{enumerator} = __builtin_offsetof(struct {of}, {name}),\n"
        ));
    }
    text + "};\n"
}

/// A named field of a structure.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    of: String,
    name: String,
    kind: String,
}

impl Field {
    fn enumerator(&self) -> String {
        format!("{LAYOUT}_{}_{}", self.of, self.name)
    }
}

/// What bindgen wrote.
#[derive(Default)]
struct Bindings {
    constants: BTreeMap<String, u64>,
    /// "Size of ukevent" and the like, as bindgen asserts it.
    assertions: BTreeMap<String, u64>,
    structures: Vec<String>,
    members: BTreeMap<String, Vec<(String, Type)>>,
}

impl Bindings {
    fn parse(text: &str) -> Result<Bindings> {
        let file = syn::parse_file(text).context("bindgen's output")?;
        let mut bindings = Bindings::default();
        for item in &file.items {
            match item {
                Item::Const(item) if item.ident == "_" => bindings.assertion(&item.expr)?,
                Item::Const(item) => {
                    let name = item.ident.to_string();
                    let value = integer(&item.expr).with_context(|| format!("constant {name}"))?;
                    bindings.constants.insert(name, value);
                }
                Item::Struct(item) => {
                    let name = item.ident.to_string();
                    bindings.members.insert(name.clone(), members(&item.fields));
                    bindings.structures.push(name);
                }
                Item::Union(item) => {
                    let fields = Fields::Named(item.fields.clone());
                    bindings
                        .members
                        .insert(item.ident.to_string(), members(&fields));
                }
                _ => {}
            }
        }
        Ok(bindings)
    }

    /// A block of `["Size of x"][size_of::<x>() - 64usize];`.
    fn assertion(&mut self, expr: &Expr) -> Result<()> {
        let Expr::Block(block) = expr else {
            bail!("an assertion is no block");
        };
        for statement in &block.block.stmts {
            let syn::Stmt::Expr(Expr::Index(index), _) = statement else {
                bail!("an assertion is no index");
            };
            let (Expr::Array(array), Expr::Binary(difference)) = (&*index.expr, &*index.index)
            else {
                bail!("an assertion has an unknown form");
            };
            let Some(Expr::Lit(name)) = array.elems.first() else {
                bail!("an assertion has no name");
            };
            let Lit::Str(name) = &name.lit else {
                bail!("an assertion's name is no text");
            };
            self.assertions
                .insert(name.value(), integer(&difference.right)?);
        }
        Ok(())
    }

    /// The fields of all structures, those of members without a name among them.
    fn fields(&self) -> Result<Vec<Field>> {
        let mut fields = Vec::new();
        for name in self.named() {
            self.collect(name, name, &mut fields)?;
        }
        Ok(fields)
    }

    fn named(&self) -> impl Iterator<Item = &String> {
        let hidden = |name: &&String| name.contains(ANONYMOUS_TYPE) || name.starts_with("__");
        self.structures.iter().filter(move |name| !hidden(name))
    }

    fn collect(&self, of: &str, inside: &str, fields: &mut Vec<Field>) -> Result<()> {
        let members = self
            .members
            .get(inside)
            .with_context(|| format!("no type {inside}"))?;
        for (name, kind) in members {
            let kind = show(kind)?;
            if name.starts_with(ANONYMOUS_FIELD) {
                self.collect(of, &kind, fields)?;
                continue;
            }
            fields.push(Field {
                of: of.to_owned(),
                // bindgen's way around the keywords of Rust.
                name: name.strip_suffix('_').unwrap_or(name).to_owned(),
                kind,
            });
        }
        Ok(())
    }

    fn facts(&self, fields: &[Field], answer: &Bindings) -> Result<Vec<String>> {
        let mut facts = Vec::new();
        for (name, value) in &self.constants {
            facts.push(format!("const {name} {value:#x}"));
        }
        for name in self.named() {
            for (word, asserted) in [("size", "Size"), ("align", "Alignment")] {
                let asserted = format!("{asserted} of {name}");
                let value = self.assertions.get(&asserted);
                let value = value.with_context(|| format!("bindgen does not tell: {asserted}"))?;
                facts.push(format!("{word} {name} {value}"));
            }
        }
        for field in fields {
            let Field { of, name, kind } = field;
            let offset = answer.constants.get(&field.enumerator());
            let offset = offset.with_context(|| format!("no offset of {of}.{name}"))?;
            facts.push(format!("offset {of}.{name} {offset} {kind}"));
        }
        Ok(facts)
    }
}

fn members(fields: &Fields) -> Vec<(String, Type)> {
    let named = fields
        .iter()
        .filter_map(|field| Some((field.ident.as_ref()?, &field.ty)));
    named
        .map(|(name, kind)| (name.to_string(), kind.clone()))
        .collect()
}

/// An integer, with negative ones as the bits that they are.
fn integer(expr: &Expr) -> Result<u64> {
    match expr {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => Ok(number.base10_parse()?),
            _ => bail!("it is no integer"),
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            Ok(integer(&unary.expr)?.wrapping_neg())
        }
        _ => bail!("it is no integer"),
    }
}

/// `__u64`, `__u64[2]`, or the last part of a path.
fn show(kind: &Type) -> Result<String> {
    match kind {
        Type::Path(path) => {
            let last = path.path.segments.last().context("an empty path")?;
            match &last.arguments {
                syn::PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
                    Some(syn::GenericArgument::Type(inner)) => Ok(format!("{}[]", show(inner)?)),
                    _ => Err(anyhow!("an unknown type")),
                },
                _ => Ok(last.ident.to_string()),
            }
        }
        Type::Array(array) => Ok(format!("{}[{}]", show(&array.elem)?, integer(&array.len)?)),
        _ => bail!("an unknown type"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"
        pub const KEVENT_MAX: u32 = 16383;
        pub const KEVENT_CLOSED: i64 = -9223372036854775808;
        pub type __u64 = ::std::os::raw::c_ulonglong;
        #[repr(C)]
        pub struct pair {
            pub type_: __u64,
            pub __bindgen_anon_1: pair__bindgen_ty_1,
            pub param: [__u64; 2usize],
            pub rest: __IncompleteArrayField<pair>,
        }
        #[repr(C)]
        pub union pair__bindgen_ty_1 {
            pub word: __u64,
            pub __bindgen_anon_1: pair__bindgen_ty_1__bindgen_ty_1,
        }
        #[repr(C)]
        pub struct pair__bindgen_ty_1__bindgen_ty_1 {
            pub fired: __u32,
        }
        const _: () = {
            ["Size of pair"][::std::mem::size_of::<pair>() - 32usize];
            ["Alignment of pair"][::std::mem::align_of::<pair>() - 8usize];
        };
    "#;

    const ANSWER: &str = "
        pub const kevent_layout_pair_type: kevent_layout = 0;
        pub const kevent_layout_pair_word: kevent_layout = 8;
        pub const kevent_layout_pair_fired: kevent_layout = 8;
        pub const kevent_layout_pair_param: kevent_layout = 16;
        pub const kevent_layout_pair_rest: kevent_layout = 32;
    ";

    fn facts_of(header: &str, answer: &str) -> Result<Vec<String>> {
        let bindings = Bindings::parse(header)?;
        bindings.facts(&bindings.fields()?, &Bindings::parse(answer)?)
    }

    #[test]
    fn every_fact_is_there() {
        let expected = [
            "const KEVENT_CLOSED 0x8000000000000000",
            "const KEVENT_MAX 0x3fff",
            "size pair 32",
            "align pair 8",
            "offset pair.type 0 __u64",
            "offset pair.word 8 __u64",
            "offset pair.fired 8 __u32",
            "offset pair.param 16 __u64[2]",
            "offset pair.rest 32 pair[]",
        ];
        assert_eq!(facts_of(HEADER, ANSWER).unwrap(), expected);
    }

    #[test]
    fn every_kind_of_change_is_noticed() {
        let before = facts_of(HEADER, ANSWER).unwrap();
        for (from, to) in [
            ("= 16383", "= 16384"),
            ("KEVENT_MAX", "KEVENT_MOST"),
            ("32usize", "40usize"),
            ("- 8usize", "- 4usize"),
            ("__u64; 2usize", "__u64; 1usize"),
            ("fired: __u32", "fired: __s32"),
        ] {
            assert!(HEADER.contains(from), "{from}");
            let after = facts_of(&HEADER.replace(from, to), ANSWER).unwrap();
            assert_ne!(before, after, "{from} -> {to}");
        }
        let moved = ANSWER.replace(
            "pair_param: kevent_layout = 16",
            "pair_param: kevent_layout = 24",
        );
        assert_ne!(before, facts_of(HEADER, &moved).unwrap());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(facts_of(&HEADER.replace("Size of pair", "Bulk of pair"), ANSWER).is_err());
        assert!(facts_of(HEADER, "").is_err());
        assert!(facts_of(&HEADER.replace("= 16383", "= 1.5"), ANSWER).is_err());
    }

    #[test]
    fn the_compiler_is_asked_for_each_field() {
        let fields = Bindings::parse(HEADER).unwrap().fields().unwrap();
        let question = ask_offsets(&fields);
        let line = "kevent_layout_pair_fired = __builtin_offsetof(struct pair, fired),";
        assert!(question.contains(line), "{question}");
    }
}
