//! What the mail server did, as the API tells it.

use super::domain::{TestedMail, TestedStage};
use crate::mail::smtp::{Failure, Passed};

impl TestedMail {
    /// Notes a stage that was passed. Where another connection begins, what was before it is gone.
    pub fn pass(&mut self, passed: &Passed) {
        if matches!(passed, Passed::Connected(_)) {
            self.stages.clear();
        }
        self.stages.push(TestedStage {
            stage: passed.stage().as_str(),
            ok: true,
            detail: passed.to_string(),
        });
    }

    /// Notes the end.
    pub fn fail(&mut self, failure: Failure) {
        let reason = failure.shown();
        self.stages.push(TestedStage {
            stage: failure.stage.as_str(),
            ok: false,
            detail: reason.clone(),
        });
        self.reason = Some(reason);
        self.smtp_code = failure.code;
        self.enhanced_status = failure.enhanced_status;
        self.remedy = Some(failure.remedy);
    }
}
