SELECT MobilePhone, MobilePhoneModel, count(DISTINCT UserID) AS users
FROM hits
WHERE length(MobilePhoneModel) > 0
GROUP BY MobilePhone, MobilePhoneModel
ORDER BY users DESC, MobilePhone, MobilePhoneModel
LIMIT 10
