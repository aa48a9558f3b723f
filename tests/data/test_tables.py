import gzip

import numpy as np
import pytest

from soonest.core import TraceError
from soonest.data import read_trace

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
PLAIN = "timestamp_s,prompt_tokens,output_tokens\n"
BURST = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Log Type\n"


def write(tmp_path, text, name="trace.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_azure_2023_times_have_seven_digits(tmp_path):
    rows = "2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8"
    trace = read_trace(write(tmp_path, AZURE + rows))
    assert trace.arrival.tolist() == [0, 0.052]
    assert trace.prompt_tokens.tolist() == [4808, 3180]
    assert trace.output_tokens.tolist() == [10, 8]


def test_azure_2024_times_have_a_zone_and_may_lack_a_fraction(tmp_path):
    rows = "2024-05-10 00:00:00.009930+00:00,1,2\n2024-05-10 00:00:01+00:00,3,4\n2024-05-10 02:00:02+02:00,5,6\n"
    trace = read_trace(write(tmp_path, AZURE + rows))
    assert trace.arrival.tolist() == [0, 0.99007, 1.99007]


def test_burstgpt_failures_are_left_out_and_counted(tmp_path):
    rows = "5,s,1.5,ChatGPT,472,18,API log\n45,s,0,ChatGPT,1087,0,API log\n118,s,2,GPT-4,417,276,Conversation log\n"
    trace = read_trace(write(tmp_path, BURST + rows))
    assert trace.arrival.tolist() == [0, 113]
    assert (len(trace), trace.left_out) == (2, 1)


def test_burstgpt_without_sessions_is_still_burstgpt(tmp_path):
    text = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,API log\n"
    assert len(read_trace(write(tmp_path, text))) == 1


def test_a_model_of_burstgpt_is_chosen_and_its_failures_alone_are_counted(tmp_path):
    rows = "1,s,1,ChatGPT,1,0,x\n2,s,1,GPT-4,2,0,x\n3,s,1,GPT-4,3,9,x\n"
    trace = read_trace(write(tmp_path, BURST + rows), model="GPT-4")
    assert (trace.prompt_tokens.tolist(), trace.left_out) == ([3], 1)


def test_a_model_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    path = write(tmp_path, BURST + "1,s,1,ChatGPT,1,5,x\n2,s,1,GPT-4,2,5,x\n")
    with pytest.raises(TraceError, match="of model 'GPT-5'; its models are ChatGPT, GPT-4"):
        read_trace(path, model="GPT-5")


def test_a_model_of_a_format_without_models_is_refused(tmp_path):
    with pytest.raises(TraceError, match="names no models"):
        read_trace(write(tmp_path, PLAIN + "0,1,1\n"), model="m")


def test_vidur_columns_are_read(tmp_path):
    trace = read_trace(write(tmp_path, "arrived_at,num_prefill_tokens,num_decode_tokens\n0.5,10,20\n0.75,11,21\n"))
    assert trace.arrival.tolist() == [0, 0.25]
    assert trace.output_tokens.tolist() == [20, 21]


def test_published_predictions_have_no_arrivals(tmp_path):
    trace = read_trace(write(tmp_path, "output_tokens,pred_class3,pred_class5\n40,0,1\n72,0,3\n"))
    assert not trace.has_arrivals
    assert trace.arrival.tolist() == [0, 0]
    assert trace.predicted.tolist() == [1, 3]
    assert trace.prompt_tokens.tolist() == [0, 0]


def test_plain_columns_may_name_tenants_and_predictions(tmp_path):
    text = "timestamp_s,prompt_tokens,output_tokens,client_id,predicted\n0.0,577,15,104,3\n0.1,303,39,7,-1\n"
    trace = read_trace(write(tmp_path, text))
    assert trace.tenant.tolist() == ["104", "7"]
    assert trace.predicted.tolist() == [3, -1]


def test_columns_may_stand_in_any_order_and_others_between(tmp_path):
    trace = read_trace(write(tmp_path, "output_tokens,note,timestamp_s,prompt_tokens\n3,x,7,2\n"))
    assert (trace.output_tokens[0], trace.prompt_tokens[0]) == (3, 2)


def test_unsorted_calls_are_sorted_and_equal_times_keep_their_order(tmp_path):
    trace = read_trace(write(tmp_path, PLAIN + "9,1,1\n4,2,2\n9,3,3\n4,4,4\n"))
    assert trace.arrival.tolist() == [0, 0, 5, 5]
    assert trace.prompt_tokens.tolist() == [2, 4, 1, 3]


def test_gzip_is_known_by_its_bytes_not_its_name(tmp_path):
    path = write(tmp_path, gzip.compress((PLAIN + "0,1,1\n").encode()), "plain.csv")
    assert len(read_trace(path)) == 1
    path = write(tmp_path, PLAIN + "0,1,1\n", "zipped.csv.gz")
    assert len(read_trace(path)) == 1


def test_many_calls_at_the_same_time_keep_their_order(tmp_path):
    rows = "".join(f"{2 - i % 3},{i},1\n" for i in range(300))
    trace = read_trace(write(tmp_path, PLAIN + rows))
    assert trace.prompt_tokens.tolist() == [*range(2, 300, 3), *range(1, 300, 3), *range(0, 300, 3)]


@pytest.mark.parametrize("text", ["\ufeff" + PLAIN + "0,1,1\n", PLAIN.replace("\n", "\r\n") + "\r\n0,1,1\r\n\r\n"])
def test_byte_order_marks_line_ends_and_blank_lines_do_not_matter(tmp_path, text):
    assert len(read_trace(write(tmp_path, text))) == 1


def test_whole_numbers_may_be_written_as_decimals(tmp_path):
    assert read_trace(write(tmp_path, PLAIN + "0,374.0,44.0\n1,2,3\n")).prompt_tokens.tolist() == [374, 2]


BAD = {
    "no number": ("0,1,1\n1,x,1\n", 3, "prompt_tokens"),
    "empty": ("0,1,1\n1,2,\n", 3, "output_tokens"),
    "broken tokens": ("0,1.5,1\n", 2, "prompt_tokens"),
    "negative tokens": ("0,1,1\n0,1,-1\n", 3, "output_tokens"),
    "nan tokens": ("0,nan,1\n", 2, "prompt_tokens"),
    "infinite tokens": ("0,1,inf\n", 2, "output_tokens"),
    "absurd tokens": (f"0,1,{2**40 + 1}\n", 2, "output_tokens"),
    "tokens beyond any integer": ("0,1,9999999999999999999999\n", 2, "output_tokens"),
    "negative time": ("0,1,1\n-1,1,1\n", 3, "timestamp_s"),
    "nan time": ("nan,1,1\n", 2, "timestamp_s"),
    "infinite time": ("inf,1,1\n", 2, "timestamp_s"),
    "absurd time": ("1e300,1,1\n", 2, "timestamp_s"),
    "eleven years": ("0,1,1\n3.5e8,1,1\n", 3, "timestamp_s"),
    "too few values": ("0,1,1\n1,2\n", 3, "output_tokens"),
    "too many values": ("0,1,1,1\n", 2, "output_tokens"),
    "after a blank line": ("0,1,1\n\n\n1,x,1\n", 5, "prompt_tokens"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_row_is_named_by_file_line_and_column(tmp_path, case):
    rows, line, column = BAD[case]
    path = write(tmp_path, PLAIN + rows)
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert str(caught.value).startswith(f"{path}, line {line}, column '{column}': ")


def test_a_fault_far_down_is_named_by_its_own_line(tmp_path):
    path = write(tmp_path, PLAIN + "0,1,1\n" * 70_000 + "0,1,?\n")
    with pytest.raises(TraceError, match=r"line 70002, column 'output_tokens': '\?'"):
        read_trace(path)


@pytest.mark.parametrize("moment", ["yesterday", "", "2023-13-01 00:00:00", "12345"])
def test_a_time_that_is_no_date_is_refused(tmp_path, moment):
    path = write(tmp_path, AZURE + f"2023-11-16 18:17:03.9799600,1,1\n{moment},1,1\n")
    with pytest.raises(TraceError, match=r"line 3, column 'TIMESTAMP': .*need a time like"):
        read_trace(path)


def test_dates_eleven_years_apart_are_refused(tmp_path):
    path = write(tmp_path, AZURE + "2023-01-01 00:00:00,1,1\n2034-06-01 00:00:00,1,1\n")
    with pytest.raises(TraceError, match="line 3, column 'TIMESTAMP': more than ten years"):
        read_trace(path)


def test_an_unfinished_quote_is_refused(tmp_path):
    with pytest.raises(TraceError, match="line 3: unexpected end of data"):
        read_trace(write(tmp_path, PLAIN + '0,1,1\n0,1,"1'))


def test_a_missing_column_is_named_when_the_format_is_given(tmp_path):
    with pytest.raises(TraceError, match="line 1: column 'TIMESTAMP' is missing; the header is timestamp_s"):
        read_trace(write(tmp_path, PLAIN + "0,1,1\n"), format="azure")


def test_a_trace_of_failures_alone_holds_no_call(tmp_path):
    with pytest.raises(TraceError, match="holds no call; 2 without an answer were left out"):
        read_trace(write(tmp_path, PLAIN + "0,1,0\n1,1,0\n"))


def test_a_header_alone_holds_no_call(tmp_path):
    with pytest.raises(TraceError, match=r"holds no call$"):
        read_trace(write(tmp_path, PLAIN))


def test_a_limit_counts_calls_with_answers_and_reads_no_further(tmp_path):
    path = write(tmp_path, PLAIN + "0,1,0\n1,2,2\n2,3,3\nthis row is never read\n")
    trace = read_trace(path, limit=2)
    assert (trace.prompt_tokens.tolist(), trace.left_out) == ([2, 3], 1)


def test_a_limit_below_one_is_refused(tmp_path):
    with pytest.raises(TraceError, match="limit must be at least 1"):
        read_trace(write(tmp_path, PLAIN + "0,1,1\n"), limit=0)


def test_rows_of_many_batches_come_in_order(tmp_path):
    n = 5_000
    rows = "".join(f"{i * 0.001:.3f},{i},{i + 1}\n" for i in range(n))
    trace = read_trace(write(tmp_path, PLAIN + rows))
    assert np.array_equal(trace.prompt_tokens, np.arange(n))
    assert np.array_equal(trace.arrival, np.arange(n) / 1000)
