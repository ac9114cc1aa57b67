SELECT count(DISTINCT SearchPhrase) AS phrases FROM hits
