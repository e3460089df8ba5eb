"""Two small tasks, one after the other: is this Airflow alive?"""

from airflow.sdk import dag, task


@dag(schedule=None, tags=["example"])
def hello():
    @task
    def greet() -> str:
        print("Hello from a task.")
        return "hello"

    @task
    def answer(greeting: str) -> str:
        print(f"The first task said {greeting}.")
        return f"{greeting}, world"

    answer(greet())


hello()
