//! Compiles what the calls do, for the program that runs them.

fn main() {
    println!("cargo::rerun-if-changed=act");
    println!("cargo::rerun-if-changed=../../selftests/kevent.h");
    println!("cargo::rerun-if-changed=../../linux/include/uapi/linux/kevent.h");
    if std::env::var_os("CARGO_FEATURE_ACT").is_none() {
        return;
    }
    cc::Build::new()
        .file("act/act.c")
        .include("../../selftests")
        .include("../../linux/include/uapi")
        .flag("-Wno-unused-result")
        .flag("-Wno-missing-field-initializers")
        .flag("-Wno-implicit-fallthrough")
        .compile("act");
}
