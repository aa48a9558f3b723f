"""What each kind of engine's page of metrics tells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.gateway.upstream import DIALECTS, EngineState
from soonest.gateway.upstream.dialects import by_metrics, by_owner
from soonest.gateway.upstream.metrics import state_of

VLLM = """
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a{b}c"} 3.0
vllm:num_requests_waiting{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting_by_reason{engine="0"} 9.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:cache_config_info{block_size="128",cache_dtype="auto",num_gpu_blocks="9",num_cpu_blocks="None",engine="0"} 1.0
"""
SGLANG = """
sglang:num_running_reqs{model_name="m"} 4.0
sglang:num_queue_reqs{model_name="m"} 0.0
sglang:token_usage{model_name="m"} 0.5
sglang:cache_config_info{page_size="1",num_pages="20000"} 1.0
"""
SGLANG_LATER = """
sglang:num_running_reqs{model_name="m",priority=""} 4.0
sglang:num_running_reqs{model_name="m",priority="0"} 1.0
sglang:num_running_reqs{model_name="m",priority="-5"} 3.0
sglang:num_queue_reqs{model_name="m",priority=""} 2.0
sglang:num_queue_reqs{model_name="m",priority="0"} 2.0
sglang:token_usage{model_name="m",priority=""} 0.5
sglang:num_retracted_requests_total{model_name="m",priority=""} 7.0
sglang:page_size{model_name="m",priority=""} 16.0
sglang:num_pages{model_name="m",priority=""} 1250.0
"""
"""With its priority scheduling, which splits counts by priority and tells them in all too."""
LLAMACPP = "llamacpp:requests_processing 1\nllamacpp:requests_deferred 5\n"
SOONEST = """
soonest_engine_num_requests_waiting 0.0
soonest_engine_num_requests_running 4.0
soonest_engine_kv_cache_usage_perc 0.125
soonest_engine_cache_config_info{block_size="32",num_gpu_blocks="64"} 1.0
soonest_engine_max_num_seqs 8.0
"""
PAGES = [
    ("vllm", VLLM, EngineState(2, 3, 0.25, 9, 128)),
    ("sglang", SGLANG, EngineState(0, 4, 0.5, 20000, 1)),
    ("sglang", SGLANG_LATER, EngineState(2, 4, 0.5, 1250, 16, evictions=7)),
    ("llamacpp", LLAMACPP, EngineState(5, 1)),
    ("soonest", SOONEST, EngineState(0, 4, 0.125, 64, 32, 8)),
]


@pytest.mark.parametrize(("name", "page", "state"), PAGES)
def test_each_page_is_known_and_read(name, page, state):
    assert by_metrics(page) is DIALECTS[name]
    assert state_of(page, DIALECTS[name]) == state


def test_schedulers_behind_one_address_are_added_up():
    page = VLLM + VLLM.replace('engine="0"', 'engine="1"').replace("0.25", "0.75")
    state = state_of(page, DIALECTS["vllm"])
    assert (state.waiting, state.running, state.usage, state.blocks, state.block_size) == (4, 6, 0.5, 2 * 9, 128)


def test_an_older_name_is_read_where_the_newer_is_missing():
    page = VLLM.replace("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
    assert state_of(page, DIALECTS["vllm"]).usage == 0.25


@pytest.mark.parametrize("value", ["NaN", "+Inf", "1e300", "x"])
def test_what_is_no_count_is_not_told(value):
    assert state_of(VLLM.replace("3.0", value), DIALECTS["vllm"]).running is None


def test_a_cache_of_unknown_size_is_not_told():
    assert state_of(VLLM.replace('"9"', '"None"'), DIALECTS["vllm"]).blocks is None


def test_a_page_of_nobodys_tells_nothing():
    assert by_metrics("http_requests_total 3\n") is None
    assert state_of(VLLM, DIALECTS["openai"]) == EngineState()


@given(st.text(), st.sampled_from(list(DIALECTS.values())))
def test_no_page_raises(text, dialect):
    assert isinstance(state_of(text, dialect), EngineState)


def test_owners_are_known():
    assert [by_owner(name) for name in ("vllm", "sglang", "llamacpp", "soonest")] == [
        DIALECTS[name] for name in ("vllm", "sglang", "llamacpp", "soonest")
    ]
    assert by_owner("system") is None


def test_signs_of_priority_are_as_the_engines_documents_say():
    signs = {name: row.priority_sign for name, row in DIALECTS.items()}
    assert signs == {"vllm": 1, "sglang": -1, "llamacpp": 0, "llamacpp-python": 0, "soonest": 1, "openai": 0}
