"""The shipped tiny model as a GGUF file, which llama.cpp reads."""

import json

import numpy as np
from gguf import GGUFWriter, TokenType
from safetensors.numpy import load_file

from soonest.engines import tiny

LAYERS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(path):
    """Weights, tokenizer and chat template in one file."""
    folder = tiny.path()
    facts, tokens, words = (
        json.loads((folder / name).read_text()) for name in ("config.json", "tokenizer.json", "tokenizer_config.json")
    )
    out = GGUFWriter(path, "llama")
    out.add_context_length(facts["max_position_embeddings"])
    out.add_embedding_length(facts["hidden_size"])
    out.add_block_count(facts["num_hidden_layers"])
    out.add_feed_forward_length(facts["intermediate_size"])
    out.add_head_count(facts["num_attention_heads"])
    out.add_head_count_kv(facts["num_key_value_heads"])
    out.add_rope_dimension_count(facts["head_dim"])
    out.add_rope_freq_base(facts["rope_theta"])
    out.add_layer_norm_rms_eps(facts["rms_norm_eps"])
    out.add_vocab_size(facts["vocab_size"])
    special = {token["content"] for token in tokens["added_tokens"]}
    vocabulary = sorted(tokens["model"]["vocab"], key=tokens["model"]["vocab"].get)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(vocabulary)
    out.add_token_types([TokenType.CONTROL if token in special else TokenType.NORMAL for token in vocabulary])
    out.add_token_merges([" ".join(pair) for pair in tokens["model"]["merges"]])
    out.add_eos_token_id(facts["eos_token_id"])
    out.add_pad_token_id(facts["pad_token_id"])
    out.add_add_bos_token(False)  # noqa: FBT003 - its own form
    out.add_chat_template(words["chat_template"])
    for name, weights in tensors(facts, folder):
        out.add_tensor(name, weights)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


def tensors(facts, folder):
    """By llama.cpp's names; queries and keys in its order of the rotated halves."""
    weights = {name: value.astype(np.float32) for name, value in load_file(folder / "model.safetensors").items()}
    yield "token_embd.weight", weights["model.embed_tokens.weight"]
    yield "output_norm.weight", weights["model.norm.weight"]
    for i in range(facts["num_hidden_layers"]):
        for theirs, ours in LAYERS.items():
            value = weights[f"model.layers.{i}.{theirs}.weight"]
            if ours in {"attn_q", "attn_k"}:
                value = interleaved(value, facts["num_attention_heads"])
            yield f"blk.{i}.{ours}.weight", np.ascontiguousarray(value)


def interleaved(value, heads):
    halves = value.reshape(heads, 2, value.shape[0] // heads // 2, value.shape[1])
    return halves.swapaxes(1, 2).reshape(value.shape)
