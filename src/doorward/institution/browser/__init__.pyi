from doorward.institution.browser.visit import BrowserVisit as BrowserVisit
