"""Files as other programs write them, for the questions of one small invented data set."""

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from PIL import Image

QUESTIONS = [
    ("11", "p0.png", "Is there a mass?", "yes", "CLOSED"),
    ("12", "p0.png", "Is it normal?", "No", "CLOSED"),
    ("13", "p1.png", "Which organ?", "liver", "OPEN"),
    ("14", "p1.png", "Which plane?", "axial", "OPEN"),
    ("15", "p2.png", "How many?", "2", "OPEN"),
    ("16", "p2.png", "Where is it?", "left lobe", "OPEN"),
]
"""id, image, question, true answer, answer type."""
WRITTEN = [
    "Yes, there is.",
    "yes",
    "<think>Not the spleen.</think> \\boxed{liver}",
    "The plane is axial",
    "Answer: 2",
    "",
]
"""What the model wrote. As it stands none is right; taken out, three are."""
ASKED = [{"id": i, "image": m, "question": q, "answer": a, "answer_type": t} for i, m, q, a, t in QUESTIONS]
CHOICES = ["CT", "MRI", "X-ray", "Ultrasound"]


def write_all(folder: Path) -> None:
    """The data set (hospital.csv with its images, and test.json as LLaVA has it) and a file of each program."""
    for name in sorted({question["image"] for question in ASKED}):
        Image.new("L", (8, 8), 40).save(folder / name)
    with open(folder / "hospital.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "image", "question", "answer", "answer_type", "organ"])
        table.writerows([*row, "abdomen"] for row in QUESTIONS)
    as_json(folder / "test.json", [conversation(asked) for asked in ASKED])
    lines(
        folder / "predictions.test.jsonl",
        [
            record | {"id": asked["id"], "prediction": asked["answer"], "answer_type": "open"}
            for record, asked in zip(ours(), ASKED, strict=True)
        ],
    )
    lines(folder / "mine.jsonl", ours())
    lines(folder / "reasoning.jsonl", reasoning())
    with open(folder / "predictions.csv", "w", newline="", encoding="utf-8-sig") as file:
        table = csv.writer(file)
        table.writerow(["qid", "image_name", "question", "answer", "answer_type", "prediction"])
        table.writerows([*row, text] for row, text in zip(QUESTIONS, WRITTEN, strict=True))
    lines(folder / "slake_samples.jsonl", lmms_eval())
    as_json(folder / "results.json", medevalkit())
    lines(folder / "answers.jsonl", llava_med())
    workbook(folder / "MyModel_VQA.xlsx", vlmevalkit())
    as_json(
        folder / "log.json",
        {
            "version": 2,
            "status": "success",
            "eval": {"task": "vqa"},
            "samples": inspect(),
            "reductions": [{"scorer": "match"}],
        },
    )
    archive(folder / "log.eval", inspect())
    as_json(folder / "scenario_state.json", {"adapter_spec": {"method": "generation"}, "request_states": helm()})
    with open(folder / "answers.csv", "w", newline="", encoding="cp1252") as file:
        table = csv.writer(file, delimiter=";")
        table.writerow(["Nr", "Bild", "Frage", "Wahrheit", "Modell", "Typ", "Sicherheit"])
        for (number, image, question, answer, kind), text in zip(QUESTIONS, WRITTEN, strict=True):
            table.writerow([number, image, question, answer, text, {"CLOSED": "zu", "OPEN": "frei"}[kind], "80 %"])
        table.writerow(["17", "p2.png", "Größe?", "groß", "groß", "frei", "80 %"])


def lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")


def as_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def workbook(path: Path, records: list[dict[str, Any]]) -> None:
    book = Workbook()
    names = list(records[0])
    book.active.append(names)
    for record in records:
        book.active.append([record[name] for name in names])
    book.save(path)


def archive(path: Path, samples: list[dict[str, Any]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("header.json", json.dumps({"version": 2, "status": "success"}))
        for sample in samples:
            file.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
        file.writestr("summaries.json", "[]")


def conversation(asked: dict[str, str]) -> dict[str, Any]:
    turns = [{"from": "human", "value": f"<image>\n{asked['question']}"}, {"from": "gpt", "value": asked["answer"]}]
    return {"id": asked["id"], "image": asked["image"], "answer_type": asked["answer_type"], "conversations": turns}


def ours() -> list[dict[str, Any]]:
    keys = ("id", "image", "question", "answer_type")
    return [
        {key: asked[key] for key in keys}
        | {"id": int(asked["id"]), "gold": asked["answer"], "prediction": text or None}
        for asked, text in zip(ASKED, WRITTEN, strict=True)
    ]


def reasoning() -> list[dict[str, Any]]:
    """Answers of a model that thinks aloud, all of them right."""
    given = [
        ("yes", "closed", "<think>No mass on the left, but one on the right.</think><answer>Yes</answer>"),
        ("yes", "closed", "No other lesion is seen. \\boxed{yes}"),
        ("spleen", "open", "<answer>spleen</answer>"),
        ("no", "closed", "Answer: No"),
        ("no", "closed", "No."),
        ("no", "closed", "No, there is none."),
    ]
    return [
        {"id": str(number), "image": f"{number}", "gold": gold, "answer_type": kind, "prediction": text}
        for number, (gold, kind, text) in enumerate(given)
    ]


def lmms_eval() -> list[dict[str, Any]]:
    return [
        {
            "doc_id": place,
            "target": asked["answer"],
            "filtered_resps": [text],
            "doc_hash": "0" * 8,
            "input": f"{asked['question']}\nAnswer the question using a single word or phrase.",
            "slake_accuracy": {"id": asked["id"], "prediction": text, "answer_type": asked["answer_type"].lower()},
        }
        for place, (asked, text) in enumerate(zip(ASKED, WRITTEN, strict=True))
    ]


def medevalkit() -> list[dict[str, Any]]:
    return [
        {"question": asked["question"], "answer": asked["answer"], "response": text, "correct": True}
        for asked, text in zip(ASKED, WRITTEN, strict=True)
    ]


def llava_med() -> list[dict[str, Any]]:
    return [
        {"question_id": asked["id"], "prompt": asked["question"], "text": text, "answer_id": "a", "model_id": "m"}
        for asked, text in zip(ASKED, WRITTEN, strict=True)
    ]


def vlmevalkit() -> list[dict[str, Any]]:
    """Multiple choice: a letter, a text, a letter with a text, and an answer that the program could not get."""
    given = ["B", "It is an MRI of the head.", "(C) X-ray", "Failed to obtain answer via API."]
    options = {letter: option for letter, option in zip("ABCD", CHOICES, strict=True)}
    return [
        {"index": number, "question": "Which modality?", **options, "answer": "BBCD"[number], "prediction": text}
        for number, text in enumerate(given)
    ]


def inspect() -> list[dict[str, Any]]:
    return [
        {
            "id": asked["id"],
            "epoch": 1,
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": asked["question"]},
                        {"type": "image", "image": f"attachment://{asked['image']}"},
                    ],
                }
            ],
            "target": asked["answer"],
            "metadata": {"answer_type": asked["answer_type"]},
            "output": {"choices": [{"message": {"role": "assistant", "content": text}}], "completion": text},
            "attachments": {asked["image"]: f"data:image/png;base64,{asked['image']}"},
        }
        for asked, text in zip(ASKED, WRITTEN, strict=True)
    ]


def helm() -> list[dict[str, Any]]:
    states = []
    for place, (asked, text) in enumerate(zip(ASKED, WRITTEN, strict=True)):
        media = [
            {"content_type": "image/jpeg", "location": f"scenarios/vqa/test/{place}.jpg"},
            {"content_type": "text/plain", "text": asked["question"]},
        ]
        instance = {
            "id": f"id{place}",
            "split": "test",
            "input": {"text": "", "multimedia_content": {"media_objects": media}},
            "references": [{"output": {"text": asked["answer"]}, "tags": ["correct"]}],
        }
        result = {"success": True, "completions": [{"text": text, "logprob": 0.0}]}
        states.append({"instance": instance, "train_trial_index": 0, "request": {}, "result": result})
    altered = {**states[0], "instance": {**states[0]["instance"], "perturbation": {"name": "typos"}}}
    return [*states, altered]
