"""Codes E7xx. Runs, checkpoints and tracking."""

from __future__ import annotations

from sslang.diagnostics.code import Code, Example

ALL = (
    Code(
        "E701",
        "nothing to resume",
        "A run goes on from a checkpoint, and there is none that is whole: it ended before "
        "the first was saved, the folder is another one, or a phase that was to be built on "
        "has not finished. To begin from drawn weights under the name of the old run would "
        "join two runs to one curve.",
        arises="It arises from `--resume` and from `--from RUN --phase NAME`. `sslang runs` lists "
        "what there is; without a checkpoint begin anew with `sslang run SPEC`.",
    ),
    Code(
        "E702",
        "another spec",
        "The run was begun with another spec than the one that is to go on with it. Half a "
        "run of one method and half of another is neither, and its record could only name "
        "one of them. The message shows the lines that differ; to go on with other settings "
        "is a new run.",
        arises="It arises from `sslang run SPEC --resume` after the spec was edited, or where "
        "another recipe or override is given. The run's own spec is kept in its folder: "
        "`sslang run --resume RUN` goes on with it, and `sslang run SPEC` begins a new one.",
    ),
    Code(
        "E703",
        "loss is not a number",
        "The loss became infinite or not a number, and no step after that mends it, for "
        "every parameter has taken it in. The run stops with that step and saves no such "
        "checkpoint; a loop that only prints the loss goes on for days. The steps since the "
        "last checkpoint are then repeated, which gives the op or the part of a net where "
        "the first such value appears, and the batch is kept in the run's folder. Mostly the "
        "learning rate is too high or its warm-up too short; else look for the logarithm of "
        "0, such as that of a softmax, a division by 0, or a temperature near 0.",
        example=Example(
            """\
method "example"
view a, b = random_resized_crop(16)
encoder f = resnet18(width = 0.125, stem = small)
z = f([a, b])
p = softmax(z[a] @ z[b].T / 0.01)
loss = -log(take(p, arange(batch)))
recipe default : laptop { batch = 32 }
""",
            """\
method "example"
view a, b = random_resized_crop(16)
encoder f = resnet18(width = 0.125, stem = small)
z = f([a, b])
scores = log_softmax(z[a] @ z[b].T / 0.01)
loss = -take(scores, arange(batch))
recipe default : laptop { batch = 32 }
""",
            found="start",
        ),
    ),
    Code(
        "E704",
        "device cannot be used",
        "torch cannot use the device that was asked for: there is no such card, its driver "
        "does not fit this build of torch, or another process has it for itself alone. A "
        "run does not move to the CPU by itself, where it would take a hundred times as "
        "long; without `--device` the best that there is is taken.",
        arises="It arises from `--device cuda` and the like. `nvidia-smi` shows the cards; `sslang "
        "run SPEC --device cpu` runs without one.",
    ),
    Code(
        "E711",
        "checkpoint damaged",
        "The file is missing or incomplete, or its SHA-256 is not the one that was written "
        "beside it. Weights with a flipped bit load without an error and train on, so what "
        "is not known to be whole is not loaded. A kill or a full disk does not cause it: a "
        "checkpoint gets its name when all of it is on the disk.",
        arises="It arises after a fault of a disk, a copy that broke off, or a checkpoint that was "
        "copied without its `.sha256`. `sslang run --resume RUN` takes the newest that is "
        "whole.",
    ),
    Code(
        "E712",
        "checkpoint passed over",
        "The newest checkpoint is damaged, and the run goes on from the one before it. Some "
        "steps are computed anew and give the same numbers, for draws depend on the step "
        "and on no generator; the log is cut back to where the checkpoint was. Two are "
        "always kept for this.",
        "warning",
        arises="It arises on `sslang run --resume RUN`, which goes on by itself. Look at the disk "
        "if it comes twice.",
    ),
    Code(
        "E713",
        "no room for a checkpoint",
        "The disk did not take the checkpoint: it is full, over its quota, or cannot be "
        "written. The run stops, for what it computed from here on would be lost. Nothing "
        "partial is left, and the checkpoints before are as they were; a program that "
        "writes over its only file has neither then.",
        arises="It arises during a run. Make room (the message says how much), then `sslang run "
        "--resume RUN`.",
    ),
    Code(
        "E714",
        "no folder for the run",
        "The folder of the run cannot be made, its name is not one for a folder, or another "
        "process is training into it. Two processes in one folder would write over each "
        "other's checkpoints and mix their curves to one.",
        arises="It arises at the start of a run, or on resuming one that is still alive. Wait for "
        "that one, or name another place: `sslang run SPEC --out FOLDER`.",
    ),
    Code(
        "E715",
        "not a run",
        "The folder is not that of a run, or its `run.json` or `metrics.jsonl` was changed "
        "by hand and can no longer be read. The record of a run says which spec, seed and "
        "data it had; without it nothing can go on from there.",
        arises="It arises where a folder is named, as after `--resume` or `--from`: often it is "
        "the folder above, `runs/NAME` in place of `runs/NAME/TIME`. `sslang runs` lists "
        "the runs; then `sslang run --resume RUN`.",
    ),
    Code(
        "E716",
        "file cannot be written",
        "The disk did not take a file: a line of the log, a copied result, the exported "
        "encoder or a mended spec. The file is as it was before, and never half of it. The "
        "run stops rather than go on without a record of what it does.",
        arises="It arises on a full or read-only disk. Make room, then `sslang run --resume RUN`; "
        "after `sslang check --fix` run that again.",
    ),
    Code(
        "E717",
        "tracking unreachable",
        "The MLflow server does not answer. Training does not wait for it and does not "
        "stop: everything is written to the run's folder first, and a process beside it "
        "tries again and sends the rest when the server is back. A loop that logs over the "
        "network stands still with it, or dies in its last epoch.",
        "warning",
        arises="It arises during a run with `--tracking URI`. Nothing needs to be done; what is "
        "still missing at the end is sent by `sslang track sync RUN`.",
    ),
    Code(
        "E718",
        "tracking incomplete",
        "The run has ended, and MLflow lacks some lines of metrics or files of it. All of "
        "them are in the run's folder, so a page of MLflow that ends early says nothing "
        "about the run.",
        "warning",
        arises="It arises at the end of a run whose server was away. When it is back: `sslang "
        "track sync RUN`. What was sent before is not sent twice.",
    ),
    Code(
        "E719",
        "nothing to send",
        "The run was made with `--tracking off`, or is still going on and sends its metrics "
        "itself. Sent by two processes, its lines would come twice.",
        arises="It arises from `sslang track sync RUN`. For a run without tracking name where it "
        "shall go: `sslang track sync RUN --tracking URI`.",
    ),
    Code(
        "E720",
        "cannot be evaluated",
        "The evaluation does not fit the data or the features: no labelled images, fewer "
        "than two classes, fewer neighbours than k, or `accuracy` on features that are not "
        "one for each class. The check finds it where the data declare their classes; "
        "else it is found when the run starts, not after the last epoch.",
        example=Example(
            """\
method "example" (labels = true)
view a = random_resized_crop(16)
encoder f = resnet18(width = 0.125, stem = small)
head classifier = linear(classes)
head narrow = linear(4)
loss = label_cross_entropy(classifier(narrow(f(a))), label)
features = narrow(f(a))
recipe default : laptop { evaluate = accuracy() }
""",
            """\
method "example" (labels = true)
view a = random_resized_crop(16)
encoder f = resnet18(width = 0.125, stem = small)
head classifier = linear(classes)
head narrow = linear(4)
loss = label_cross_entropy(classifier(narrow(f(a))), label)
features = classifier(narrow(f(a)))
recipe default : laptop { evaluate = accuracy() }
""",
        ),
    ),
    Code(
        "E721",
        "ended with another process",
        "A run on several processes is one computation: where one of them ends, by an error "
        "or from outside, the others cannot go on, and end as well. In plain PyTorch they "
        "often wait for it instead, half an hour by default.",
        arises="It arises with `--processes 2` or more, beside the message of the process that "
        "failed. Mend what that says, then `sslang run --resume RUN`; the last checkpoint "
        "is whole.",
    ),
    Code(
        "E722",
        "processes contradict each other",
        "A run of several processes learns from variables which process it is: those of torch's "
        "launcher (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT) or those of Slurm's "
        "`srun`. Some are missing, or two of them say different things. A guess would have two "
        "processes compute the same rows, or wait for one that never comes.",
        arises="It arises at the start of `sslang run`, most often in a shell or a script that "
        "exports WORLD_SIZE or RANK by hand, or with `--processes` below `torchrun` or `srun`, "
        "which would start the processes a second time. Unset them, and start once.",
    ),
    Code(
        "E723",
        "a process has died",
        "One of the processes of a run was killed, or ended without a word, and the others, which "
        "need its rows, ended with it. Nothing is computed without it: that would be another "
        "batch. The message names the one that went first.",
        arises="It arises in a run of several processes. SIGKILL mostly means that memory ran out; "
        "SIGSEGV and SIGBUS a fault in a library or a full /dev/shm. All up to the last "
        "checkpoint is saved: `sslang run --resume RUN`, with any number of processes.",
    ),
    Code(
        "E724",
        "processes did not meet",
        "The processes of a run find each other at one address and port. Not all came within a "
        "quarter of an hour, or the port was taken or closed.",
        arises="It arises at the start of a run on several machines, each of which has the command "
        "`sslang run SPEC --processes 8 --nodes 2 --rendezvous HOST:PORT`. HOST is one of them. "
        "Under Slurm the port follows from the number of the job, and MASTER_PORT names another.",
    ),
    Code(
        "E725",
        "not installed",
        "The command needs a package that is not installed. It comes with an extra of sslang, so "
        "that those who have no use for it need not have it.",
        arises="It arises from `sslang submit` without submitit: `pip install 'sslang[slurm]'`.",
    ),
    Code(
        "E726",
        "out of memory",
        "A step needs more memory than the device or the process may have. The message says "
        "what takes how much: parameters and their gradients, the optimizer's moments, "
        "averages, banks and queues, and for each row of the batch what the backward pass "
        "keeps; and how many rows at once would fit. With `--micro-batch` a step of the same "
        "batch is computed in parts, which changes nothing but rounding.",
        arises="It arises at a step, mostly the first, on a GPU, or on the CPU under a limit of "
        "memory. The last checkpoint is whole: `sslang run --resume RUN --micro-batch N`, "
        "or a smaller `batch`.",
    ),
    Code(
        "E727",
        "data have changed",
        "The images are not those that the run began with: another version of a data set, or "
        "other classes. Which image comes when is a function of its number, so another set is "
        "another run under the name of the old one. Of a folder of images the run keeps a "
        "list: files that are gone or were changed are passed over, as long as they are few, "
        "and new ones are none of its images.",
        arises="It arises from `--resume`. Put the data back as they were, or begin anew with "
        "`sslang run SPEC`.",
    ),
    Code(
        "E728",
        "job not taken",
        "The queue did not take the job: there is no Slurm on this machine, or it knows no such "
        "partition or account, or refuses so much time or so many GPUs. Nothing was started.",
        arises="It arises from `sslang submit`, with Slurm's own words. `sinfo` lists what there "
        "is; `sslang submit --cluster local SPEC` starts the same job on this machine.",
    ),
    Code(
        "E729",
        "an index outside of what it reads",
        "A step reads or writes a row that a bank or another tensor does not have. Rows count from "
        "0 to the size less 1, and negative ones from the end. An index that is computed, such as "
        "`index + 1`, may leave that range in any step.",
        arises="It arises at a step. Draw the index with `below` the size, or compute it so that "
        "it stays within, then begin anew with `sslang run SPEC`.",
    ),
    Code(
        "E730",
        "not in this kornia",
        "The op is computed by a class of kornia, and the kornia that is installed has no such "
        "class, takes other arguments, or refuses these. It is found before any data are read. The "
        "message has kornia's version and its own words.",
        arises="It arises from `sslang run`. Install a kornia that has the op, `pip install -U "
        "kornia`, or write another op; `sslang doc --kornia` lists the classes and their ops.",
    ),
    Code(
        "E731",
        "values that the op says it does not give",
        "An op of a view gave values outside of 0..1 though it is declared to stay within, so the "
        "ops after it, which are defined on 0..1, compute something else. Mostly the installed "
        "kornia computes the op in another way than the one that it was declared for.",
        arises="It arises at the first batch of `sslang run`. Write `clip_values` behind the op, "
        "and report it with the version of kornia.",
    ),
)
