//! A program in C, which does what the fuzzer did.

use crate::call::Call;
use crate::program::Program;

/// What the calls do.
const ACT: &str = include_str!("../act/act.h");

/// The program as a file that needs `selftests/kevent.h` and the header of the interface.
pub fn c(program: &Program, about: &str) -> String {
    let mut text = format!("// SPDX-License-Identifier: GPL-2.0\n/* {about} */\n{ACT}\n");
    text += &function("static void first(void)", &program.first, "");
    for (number, calls) in program.threads.iter().enumerate() {
        let head = format!("static void *thread_{number}(void *gate)");
        let begin = format!("\tname_thread({number});\n\tpthread_barrier_wait(gate);\n");
        text += &function(&head, calls, &begin);
    }
    text += &main(program.threads.len());
    text
}

fn function(head: &str, calls: &[Call], begin: &str) -> String {
    let mut text = format!("{head}\n{{\n{begin}");
    for call in calls {
        text += &format!("\t{};\n", call.c());
    }
    if head.contains('*') {
        text += "\treturn NULL;\n";
    }
    text + "}\n\n"
}

/// Runs it again and again, each time in a process of its own, as how threads meet differs.
fn main(threads: usize) -> String {
    let names: Vec<String> = (0..threads)
        .map(|number| format!("thread_{number}"))
        .collect();
    let run = match threads {
        0 => String::new(),
        _ => format!(
            "\tvoid *(*const run[])(void *) = {{ {} }};\n\
             \tpthread_barrier_t gate;\n\
             \tpthread_t started[{threads}];\n\
             \tint i;\n\n",
            names.join(", ")
        ),
    };
    let start = match threads {
        0 => String::new(),
        _ => format!(
            "\tpthread_barrier_init(&gate, NULL, {threads});\n\
             \tfor (i = 0; i < {threads}; i++)\n\
             \t\tpthread_create(&started[i], NULL, run[i], &gate);\n\
             \tfor (i = 0; i < {threads}; i++)\n\
             \t\tpthread_join(started[i], NULL);\n"
        ),
    };
    format!(
        "static void once(void)\n\
         {{\n\
         {run}\
         \tbegin_process();\n\
         \tfirst();\n\
         {start}\
         \tend_program();\n\
         \t_exit(0);\n\
         }}\n\n\
         int main(int argc, char **argv)\n\
         {{\n\
         \tint times = argc > 1 ? atoi(argv[1]) : 1000;\n\n\
         \tprepare();\n\
         \twhile (times-- > 0) {{\n\
         \t\tint ms;\n\
         \t\tpid_t pid = fork();\n\n\
         \t\tif (pid == 0)\n\
         \t\t\tonce();\n\
         \t\tfor (ms = 0; waitpid(pid, NULL, WNOHANG) == 0; ms++) {{\n\
         \t\t\tif (ms == 500)\n\
         \t\t\t\tkill(pid, SIGKILL);\n\
         \t\t\tusleep(1000);\n\
         \t\t}}\n\
         \t}}\n\
         \treturn 0;\n\
         }}\n"
    )
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use rand::SeedableRng;

    use super::*;
    use crate::{Dice, corpus};

    /// Compiles it, as strictly as selftests are.
    fn compile(program: &Program, folder: &Path) {
        let repo = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let (source, object) = (folder.join("program.c"), folder.join("program.o"));
        std::fs::write(&source, c(program, "a test")).unwrap();
        let mut gcc = Command::new("gcc");
        gcc.args(["-std=gnu11", "-Wall", "-Werror", "-Wno-unused-result", "-c"]);
        gcc.arg("-I").arg(repo.join("selftests"));
        gcc.arg("-I").arg(repo.join("linux/include/uapi"));
        let output = gcc.arg("-o").arg(object).arg(&source).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{text}", program.to_text());
    }

    #[test]
    fn every_kind_of_call_compiles() {
        let folder = tempfile::tempdir().unwrap();
        let mut dice = Dice::seed_from_u64(1);
        let mut calls = || {
            let all = Call::names().flat_map(|name| std::iter::repeat_n(name, 20));
            all.map(|name| Call::named(name, &mut dice)).collect()
        };
        let program = Program {
            first: calls(),
            threads: vec![calls(), calls()],
        };
        compile(&program, folder.path());
        compile(&Program::default(), folder.path());
    }

    #[test]
    fn every_program_of_the_corpus_compiles() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        for program in corpus::read(&corpus).unwrap().values() {
            compile(program, folder.path());
        }
    }
}
