"""The boards: layout here, questions in `dashboards.queries`, choices in `dashboards.boards.variables`."""
