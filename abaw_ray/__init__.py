"""Distributed multi-task emotion recognition from several databases with missing labels, on Ray.

The way of the data, stage by stage; each reads only what the one before has written:

    stage           module                      writes
    prepare         preprocess.prepare          a store: manifest, index, labels, training sets, blocks of faces
    train, distill  training.trainer            a run: metrics, TensorBoard's files, checkpoints, run.json
    teacher-outputs inference.teach             what teachers say of the training images, or of the videos' frames
    features        inference.extract           features of every frame of the store's videos
    label           inference.label             labels of the store's images by one more annotator: a run, or a person
    review          evaluation.review           the labels that a run doubts most, to be corrected
    generations     generations.run             runs of ensembles that learn from the one before, their table
    tune            tuning.sweep                a sweep: trials, the best recipe, a page
    evaluate        evaluation.evaluate         scores, predictions, figures, decisions
    predict         inference.predict_job       what faces in videos and pictures show: tables, drawn videos, pages
    report          reports.page                a page about runs
    predict-set     competition.predict_set     an entry of the ABAW competition
    export          inference.export.export     one file of a run, onnx or torch, and its model card
    submit          jobs.submit                 nothing here: it gives any of these to a cluster

What they are made of:

    config        recipes: sections, keys and their meaning
    spaces        label spaces: what labels say, as values that travel with the data
    databases     one file a database: native label files -> rows of labels
    preprocess    rows -> faces -> blocks, by Ray Data
    blocks        the files of a store, and of what is computed from it
    streams       what samples have: images, sound, vectors; how each is cut out, kept and read
    sampling      which rows make up each step: pure functions
    augmentation  views of faces, and random changes of images by batch
    tasks         one file a kind of label space: outputs, loss, decoding, scores
    models        networks, weights, checkpoints
    teachers      a network, stored outputs, or an ensemble: what gives a student its soft labels
    objectives    which loss goes to which rows; KD losses; labels of several annotators
    training      the loop, its kinds (images, windows over time), and Ray Train around it
    inference     predictions of rows, videos and pictures, features, teachers' outputs; exported files
    evaluation    protocols, scores, figures
    reports       pages and cards about runs
    competition   ABAW's label files, entries, and their checker
    palette       colours of figures, pages and videos
    monitoring    TensorBoard and metrics of a run
    generations   ensembles that learn from the ensemble before them
    tuning        sweeps, by Ray Tune
    jobs          submission to a cluster
    paper         its databases and tables: what demo and reproduce run
    experiments   tables of related papers, one file each, for reproduce
    synthetic     generated databases, of demo, reproduce and tests; noise of labels
    cli           one command a verb
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from abaw_ray.inference.api import FaceModel

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    decisions: str | os.PathLike[str] | None = None,
    detector: str | None = None,
    people: str | os.PathLike[str] | None = None,
) -> FaceModel:
    """A trained model to be given pictures and videos; see `inference.api.load_model`, whose arguments these are."""
    from abaw_ray.inference.api import load_model

    return load_model(path, decisions, detector, people)
