"""Answers questions from text files, with a Sandle and LangChain: retrieval-augmented generation in its smallest form.

    export SANDLE_URL=http://localhost:8080 SANDLE_API_KEY=…
    python docs/examples/retrieval/retrieval.py "When is the library open?"

Every line of the documents is a passage. An embedding model turns passages and question into vectors, the passage that
is nearest to the question goes into the prompt, and a model that chats answers from it.
"""

import os
import pathlib
import sys

import click
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

DOCUMENTS = pathlib.Path(__file__).resolve().parent / 'documents'
# sandle-tiny cannot read an answer out of a text, but it can say a text again. Other models get the question, too.
PROMPTS = {'quote': 'Repeat: {passage}',
           'answer': 'Answer from this text alone.\n\n{passage}\n\nQuestion: {question}'}


def read_passages(folder: pathlib.Path) -> list[Document]:
    """Returns each line of each text file of a folder, with the file's name."""
    return [Document(line, metadata={'source': path.name}) for path in sorted(folder.glob('*.txt'))
            for line in path.read_text('utf-8').splitlines() if line.strip()]


@click.command()
@click.argument('questions', nargs=-1, required=True)
@click.option('--documents', type=click.Path(exists=True, file_okay=False, path_type=pathlib.Path), default=DOCUMENTS)
@click.option('--model', default='sandle-tiny', help='The model that answers.')
@click.option('--embedding-model', default='all-MiniLM-L6-v2', help='The model that finds.')
@click.option('--prompt', type=click.Choice(list(PROMPTS)), default='quote',
              help='What the model that answers is asked for.')
def main(questions: tuple[str, ...], documents: pathlib.Path, model: str, embedding_model: str, prompt: str) -> None:
    """Answer QUESTIONS from the text files of a folder."""
    sandle = {'base_url': os.environ['SANDLE_URL'] + '/v1', 'api_key': os.environ['SANDLE_API_KEY']}
    # Without the check texts are sent as they are, and not as tokens of OpenAI's tokenizer.
    store = InMemoryVectorStore(OpenAIEmbeddings(model=embedding_model, check_embedding_ctx_length=False, **sandle))
    store.add_documents(read_passages(documents))
    chain = (ChatPromptTemplate.from_messages([('user', PROMPTS[prompt])])
             | ChatOpenAI(model=model, temperature=0, **sandle) | StrOutputParser())
    for question in questions:
        [passage] = store.similarity_search(question, k=1)
        answer = chain.invoke({'passage': passage.page_content, 'question': question})
        print(f'{question}\n  {answer}  ({passage.metadata["source"]})')


if __name__ == '__main__':
    sys.exit(main())
