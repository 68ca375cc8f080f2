//! The program that README.md shows is the one that the selftests compile and run.

#[test]
fn program_is_the_selftest() {
    let readme = include_str!("../../README.md");
    let program = include_str!("../../selftests/example.c");
    let (_, shown) = readme.split_once("```c\n").expect("a block of C");
    let (shown, _) = shown.split_once("```\n").expect("its end");
    assert_eq!(shown, program);
}
