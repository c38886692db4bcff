"""Imports run one way: the engine knows no HTTP, the wrapper no engine, and no component another one."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPONENTS = ('backend-ct2', 'backend-hf', 'backend-llama', 'backend-stub', 'openai-wrapper')
PREFIXES = {'backend-ct2': 'ct2_', 'backend-hf': 'hf_', 'backend-llama': 'llama_', 'backend-stub': 'stub_',
            'openai-wrapper': 'wrapper_'}
SHARED = sorted(ROOT.glob('sandle/**/*.py'))
WEB = {'flask', 'werkzeug', 'waitress'}
LIBRARIES = {'sandle/engine/sampling.py': {'torch'}, 'sandle/engine/penalties.py': {'torch'},
             'sandle/chat_template_worker.py': {'transformers'}}  # a process of its own, which nothing imports
HEAVY = {'torch', 'transformers', 'tokenizers', 'accelerate', 'safetensors', 'huggingface_hub', 'numpy'}


def component_files(component: str) -> list[Path]:
    return sorted((ROOT / component).glob('*.py'))


class Imports(ast.NodeVisitor):
    """Gathers the modules that a file imports when it runs; what only a type checker sees is left out."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_Import(self, node: ast.Import) -> None:
        self.names.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0 and node.module is not None, 'relative imports are not used'
        self.names.add(node.module)
        self.names.update(f'{node.module}.{alias.name}' for alias in node.names)

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == 'TYPE_CHECKING':
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)


@cache
def imports_of(file: Path) -> frozenset[str]:
    visitor = Imports()
    visitor.visit(ast.parse(file.read_text('utf-8')))
    return frozenset(visitor.names)


def file_of(module: str) -> Path | None:
    """Returns the file of one of the repository's own modules."""
    places = [ROOT / f'{module.replace(".", "/")}.py', *(ROOT / component / f'{module}.py' for component in COMPONENTS)]
    return next((place for place in places if place.is_file()), None)


def reached_from(file: Path) -> set[str]:
    """Returns every module that is imported when a file is, by way of the repository's own modules."""
    reached: set[str] = set()
    waiting = [file]
    while waiting:
        for module in imports_of(waiting.pop()) - reached:
            reached.add(module)
            if (own := file_of(module)) is not None:
                waiting.append(own)
    return reached


def packages(modules: set[str]) -> set[str]:
    return {module.split('.')[0] for module in modules}


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_the_files_are_found() -> None:
    assert {'sandle/errors.py', 'sandle/engine/sampling.py'} <= set(map(name, SHARED))
    assert all(component_files(component) for component in ('backend-hf', 'backend-stub', 'openai-wrapper'))
    assert 'sandle.completions' in reached_from(ROOT / 'backend-stub/serve-backend-stub.py')
    assert {'flask', 'sandle.engine.engine'} <= reached_from(ROOT / 'sandle/completions.py')


@pytest.mark.parametrize('file', [file for file in SHARED if 'engine' in file.parts], ids=name)
def test_the_engine_knows_no_http(file: Path) -> None:
    reached = reached_from(file)
    assert not packages(reached) & (WEB | {'click'})
    assert not {module for module in reached if module.startswith('sandle.')
                and not module.startswith(('sandle.engine', 'sandle.errors', 'sandle.catalog', 'sandle.fairness',
                                           'sandle.log', 'sandle.units'))}


@pytest.mark.parametrize('file', component_files('openai-wrapper'), ids=name)
def test_the_wrapper_knows_no_engine_and_no_model(file: Path) -> None:
    reached = reached_from(file)
    assert not {module for module in reached if module.startswith(('sandle.engine', 'sandle.completions'))}
    assert not packages(reached) & HEAVY


@pytest.mark.parametrize('file', component_files('backend-stub'), ids=name)
def test_the_stub_needs_no_torch(file: Path) -> None:
    reached = reached_from(file)
    assert not packages(reached) & HEAVY
    assert 'sandle.engine.loop' not in reached


@pytest.mark.parametrize('component', COMPONENTS)
def test_no_component_imports_another(component: str) -> None:
    others = tuple(prefix for other, prefix in PREFIXES.items() if other != component)
    for file in component_files(component):
        assert file.name.startswith((PREFIXES[component], 'serve-')), f'{file.name} lacks the prefix'
        assert not {module for module in imports_of(file) if module.startswith(others)}


@pytest.mark.parametrize('file', SHARED, ids=name)
def test_sandle_imports_no_component_and_few_files_need_large_libraries(file: Path) -> None:
    assert not {module for module in imports_of(file) if module.startswith(tuple(PREFIXES.values()))}
    needed = packages(set(imports_of(file))) & HEAVY
    assert needed == LIBRARIES.get(name(file), set())
    assert 'sandle.chat_template_worker' not in imports_of(file)


@pytest.mark.parametrize('module', ['errors', 'jsonbody', 'protocol', 'wire', 'sse', 'choices', 'catalog', 'log'])
def test_the_wire_knows_no_web_framework(module: str) -> None:
    assert not packages(reached_from(ROOT / f'sandle/{module}.py')) & (WEB | HEAVY | {'click'})


@pytest.mark.parametrize('file', [file for component in COMPONENTS for file in component_files(component)], ids=name)
def test_a_composition_root_is_short_and_alone_touches_the_path(file: Path) -> None:
    text = file.read_text('utf-8')
    if file.name.startswith('serve-'):
        assert text.count('\n') <= 120
    else:
        assert 'sys.path' not in text


@pytest.mark.parametrize('file', SHARED + [file for component in COMPONENTS for file in component_files(component)],
                         ids=name)
def test_files_stay_readable(file: Path) -> None:
    text = file.read_text('utf-8')
    assert text.count('\n') < 300
    assert ast.get_docstring(ast.parse(text)), 'a module says what it owns'
