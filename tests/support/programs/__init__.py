"""Programs that tests start: our command line, the dashboard, a browser, the services of compose.yaml."""
