"""The real files, with the counts and means that their description states."""

import gzip

import numpy as np
import pytest

from soonest.core import TraceError
from soonest.data import read_trace

ARRIVALS = {  # rows, mean and p50 of prompt tokens, mean and p99 of output tokens, rate, CV of gaps
    "azure_conv_2023": (19_366, 1155, 1020, 211, 601, 5.53, 1.09),
    "azure_code_2023": (8_819, 2048, 1469, 28, 252, 2.57, 13.15),
    "servegen_mlarge": (24_261, 1122, 712, 131, 890, 6.74, 1.13),
}
LENGTHS = {  # rows, mean and p50 of output tokens
    "alpaca_vicuna7b": (20_000, 124, 103),
    "sharegpt_chatgpt": (3_527, 276, 250),
    "halueval_chatgpt": (4_507, 108, 106),
}


@pytest.mark.data
@pytest.mark.parametrize("name", ARRIVALS)
def test_an_arrival_file_has_the_counts_and_means_that_its_description_states(shared_data, name):
    trace = read_trace(shared_data(f"arrivals/{name}.csv.gz"))
    rows, prompt_mean, prompt_median, output_mean, output_p99, rate, variation = ARRIVALS[name]
    gaps = np.diff(trace.arrival)
    assert (trace.name, len(trace), trace.left_out, trace.has_arrivals) == (name, rows, 0, True)
    assert round(trace.prompt_tokens.mean()) == prompt_mean
    assert np.median(trace.prompt_tokens) == prompt_median
    assert round(trace.output_tokens.mean()) == output_mean
    assert np.percentile(trace.output_tokens, 99) == pytest.approx(output_p99, abs=1)
    assert trace.rate == pytest.approx(rate, abs=0.005)
    assert gaps.std() / gaps.mean() == pytest.approx(variation, abs=0.006)


@pytest.mark.data
def test_servegen_clients_become_tenants(shared_data):
    trace = read_trace(shared_data("arrivals/servegen_mlarge.csv.gz"))
    with gzip.open(shared_data("arrivals/servegen_mlarge.csv.gz"), "rt") as file:
        clients = [line.rstrip("\n").split(",")[3] for line in file][1:]
    assert trace.tenant.tolist() == clients
    assert len(set(clients)) > 40


@pytest.mark.data
@pytest.mark.parametrize("name", LENGTHS)
def test_a_length_file_has_the_counts_and_means_that_its_description_states(shared_data, name):
    trace = read_trace(shared_data(f"lengths/{name}.jsonl.gz"))
    rows, mean, median = LENGTHS[name]
    assert (len(trace), trace.has_arrivals) == (rows, False)
    assert round(trace.output_tokens.mean()) == mean
    assert np.median(trace.output_tokens) == median


@pytest.mark.data
def test_approximate_prompt_tokens_are_near_the_counted_ones_for_english(shared_data):
    trace = read_trace(shared_data("lengths/alpaca_vicuna7b.jsonl.gz"))
    assert trace.prompt_tokens.mean() == pytest.approx(18, rel=0.25)


@pytest.mark.data
def test_rows_without_the_chosen_model_are_left_out_and_counted(shared_data):
    path = shared_data("lengths/mmlu_pro_cot_2models.jsonl.gz")
    models = ("Meta-Llama-3_1-8B-Instruct", "gemini-1.5-flash-002")
    traces = [read_trace(path, model=model) for model in models]
    assert [len(trace) + trace.left_out for trace in traces] == [12_032, 12_032]
    assert sum(map(len, traces)) == 24_044


@pytest.mark.data
def test_a_file_of_twelve_models_wants_one_chosen_and_lists_them(shared_data):
    path = shared_data("lengths/alpaca_eval_12models.jsonl.gz")
    with pytest.raises(TraceError, match=r"several models.*claude-2\.1.*zephyr-7b-beta"):
        read_trace(path)
    assert len(read_trace(path, model="gemini-pro")) == 804


@pytest.mark.data
def test_published_predictions_are_right_as_often_as_their_description_states(shared_data):
    trace = read_trace(shared_data("arrivals/ssjf_vicuna13b_bert_predictions.csv.gz"))
    truth = np.searchsorted([41, 140, 294, 502], trace.output_tokens, side="right")
    assert (len(trace), trace.has_arrivals) == (85_482, False)
    assert (truth == trace.predicted).mean() == pytest.approx(0.598, abs=0.01)


def test_promised_but_missing_data_fail(shared_data, monkeypatch, tmp_path):
    monkeypatch.setenv("SOONEST_DATA", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="is not there"):
        shared_data("arrivals/nothing.csv")


def test_data_that_nobody_promised_skip(shared_data, monkeypatch):
    monkeypatch.delenv("SOONEST_DATA", raising=False)
    with pytest.raises(pytest.skip.Exception, match="set SOONEST_DATA"):
        shared_data("arrivals/nothing.csv")
