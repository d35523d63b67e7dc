"""The whole of it learns: thirty-two drawn samples to the last one, and not without their images."""

import torch
from _tiny import LENGTH, SIZE, Silent, config, question

from discern_vqa.config import OptimConfig, RunConfig
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.batch import Batcher
from discern_vqa.data.text import WordTokenizer
from discern_vqa.models.cmdpi import Model
from discern_vqa.objectives import cmdpi_finetune as finetune
from discern_vqa.training.loop import Work, fit
from discern_vqa.training.train import validation_figures


class Drawn:
    """Sixteen images: a disc on the left or the right, large or small, over noise."""

    views, size = 1, SIZE
    blank = False

    def get(self, keys, rng=None, view=0):
        images = torch.stack([self.one(int(key)) for key, _ in keys])
        return images, images

    def one(self, number: int) -> torch.Tensor:
        if self.blank:
            return torch.full((3, SIZE, SIZE), 0.5)
        generator = torch.Generator().manual_seed(number)
        image = 0.2 * torch.rand(SIZE, SIZE, generator=generator)
        y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
        column, row, radius = (8 if number % 2 else 24), 10 + number % 12, (6 if number // 2 % 2 else 2)
        image[(x - column) ** 2 + (y - row) ** 2 <= radius**2] = 0.9
        return image.expand(3, -1, -1)


def test_thirty_two_samples_are_learned_to_the_last_and_not_without_their_images(tmp_path):
    samples = []
    for n in range(16):
        samples.append(question(n, str(n), "on which side is the disc", "left" if n % 2 else "right",
                                question_type=("POS",), answer_type="open"))  # fmt: skip
        samples.append(question(16 + n, str(n), "is the disc large", "yes" if n // 2 % 2 else "no"))
    tokenizer = WordTokenizer.from_texts([sample.text for sample in samples])
    vocabulary = AnswerVocabulary.from_answers([sample.answer for sample in samples], "lower")
    torch.manual_seed(0)
    net = Model(config(width=32, layers=1), len(vocabulary), tokenizer.size, LENGTH)
    source = Drawn()
    made = Batcher(tokenizer, vocabulary, LENGTH, source)
    weights = {"mix": 1.0, "diff_img": 0.1, "diff_txt": 0.1}
    wanted = finetune.Config(profile="robust", readings={"similar_percentile": 0.9}, weights=weights)
    objective = finetune.Objective(wanted, net)
    made.pairing = objective.pairing(objective.similar(samples, made), samples)
    everything = Work(
        net, objective, lambda epoch: [list(range(32))], lambda rows, g: made.batch([samples[r] for r in rows], g), None
    )
    fit(everything, OptimConfig(lr=3e-3), RunConfig(epochs=150, select="last"), tmp_path, resume=False, show=Silent())
    assert validation_figures(net, made, samples)["accuracy"] == 1.0
    source.blank = True
    blind = validation_figures(net, made, samples)
    assert blind["accuracy_open"] == blind["accuracy_closed"] == 0.5, "only the prior is left"
