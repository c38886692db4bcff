"""Prints docs/swagger.yaml with one model's id in place of any: `python tests/fuzz_schema.py MODEL`.

Made-up requests then name a model that is there, and get past the look-up to what is worth fuzzing.
"""

import pathlib
import sys

import yaml

SWAGGER = pathlib.Path(__file__).resolve().parent.parent / 'docs' / 'swagger.yaml'


def main() -> None:
    """Reads, changes and prints the description."""
    document = yaml.safe_load(SWAGGER.read_text('utf-8'))
    model = sys.argv[1]
    named = {'type': 'string', 'enum': [model]}
    schemas = document['components']['schemas']
    for kind in ('CompletionRequest', 'ChatRequest', 'EmbeddingsRequest'):
        schemas[kind]['properties']['model'] = named
    for kind in ('TokenizeRequest', 'DetokenizeRequest'):
        schemas[kind]['properties']['model'] = {'type': 'string', 'nullable': True, 'enum': [model, None]}
    document['components']['parameters']['Model'] |= {'schema': named, 'example': model}
    for path in ('/v1/completions', '/v1/chat/completions', '/v1/chat/completions/render', '/v1/embeddings',
                 '/tokenize', '/detokenize'):
        for content in document['paths'][path]['post']['requestBody']['content'].values():
            content['example']['model'] = model
    yaml.safe_dump(document, sys.stdout, sort_keys=False, allow_unicode=True)


if __name__ == '__main__':
    main()
