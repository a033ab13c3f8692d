"""The pages that an operator looks at. They ask the API what they show, as any other client does."""
